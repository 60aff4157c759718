/**
 * One UDP datagram from host to host, to see that IP works in a laboratory.
 */
import type { Lab } from "./lab.ts";
import { until } from "./until.ts";

const RECEIVER = `
  await Bun.udpSocket({ hostname: process.env.TARGET, port: 4000, socket: {
    data(socket, bytes, port, from) { console.log(bytes.toString(), from, "to", process.env.TARGET); process.exit(0); },
  } });
  console.log("ready");`;

const SENDER = `
  const socket = await Bun.udpSocket({ hostname: process.env.SOURCE });
  if (!socket.send("hello", 4000, process.env.TARGET)) throw new Error("not sent");
  process.exit(0);`;

/** Returns what the receiver printed: "hello SOURCE to TARGET". */
export async function datagram(lab: Lab, from: number, to: number, family: "ip" | "ip6"): Promise<string> {
  const env = { SOURCE: lab.hosts[from]![family], TARGET: lab.hosts[to]![family] };
  const receiver = lab.spawn(to, [process.execPath, "-e", RECEIVER], { env, stderr: "inherit" });
  const stdout = receiver.stdout;
  if (!(stdout instanceof ReadableStream)) throw new Error("stdout must be a pipe");
  let said = "";
  const reading = (async () => {
    for await (const chunk of stdout) said += new TextDecoder().decode(chunk);
  })();
  await until("the receiver is bound", () => said.includes("ready"));
  const sender = lab.spawn(from, [process.execPath, "-e", SENDER], { env, stderr: "inherit" });
  if ((await sender.exited) !== 0) throw new Error("the datagram was not sent");
  await reading;
  return said.replace("ready", "").trim();
}
