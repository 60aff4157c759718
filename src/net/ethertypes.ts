/** The EtherTypes of both wires. */

/** Native wire: IEEE 802 local experimental EtherType 1. */
export const NATIVE_ETHERTYPE = 0x88b5;
/** Kernel_Paxos wire: one for each message, `prepare` first. */
export const KERNEL_PAXOS_FIRST = 0xcafa;
export const KERNEL_PAXOS_LAST = 0xcb05;
