/**
 * Free UDP ports of this machine.
 */

/** Ports nobody uses now. All are held until the last is known, so that they differ. */
export async function freePorts(count: number, hostname: string): Promise<number[]> {
  const sockets = await Promise.all(
    Array.from({ length: count }, () => Bun.udpSocket({ hostname, port: 0 })),
  );
  const ports = sockets.map((socket) => socket.port);
  for (const socket of sockets) socket.close();
  return ports;
}
