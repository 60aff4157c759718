/**
 * Addresses of peers: a MAC on raw Ethernet, an IP address and port on UDP. Pure.
 */
import { ADDRESS_WORDS } from "./link.ts";

export type Address =
  | { readonly kind: "ethernet"; readonly mac: string; readonly words: Uint32Array }
  | { readonly kind: "udp"; readonly host: string; readonly port: number; readonly words: Uint32Array };

export { ADDRESS_WORDS };
// parseMac(text): Address | undefined; parseUdp(host, port): Address | undefined;
// formatAddress(kind, words, at = 0): string; sameAddress(a, b): boolean — see link.ts for the layout of the words.
