/**
 * The laboratory itself: frames travel, addresses are as chosen, nothing stays.
 */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { hostMac, ownerOf } from "../src/ops/lab_names.ts";
import { listNamespaces, sweepLeftovers } from "../src/ops/lab_sweep.ts";
import { datagram } from "./support/datagram.ts";
import { BROADCAST, listen, MULTICAST, send } from "./support/frames.ts";
import { Lab, type LabOptions } from "./support/lab.ts";
import { describeNetns } from "./support/netns.ts";
import { until } from "./support/until.ts";

const LAB = join(import.meta.dir, "support/lab.ts");

async function withLab(options: LabOptions, body: (lab: Lab) => Promise<void> | void): Promise<void> {
  const lab = Lab.create(options);
  try {
    await body(lab);
  } finally {
    lab.close();
  }
}

/** Another process that makes a laboratory with a program in it and then does `then`. */
function otherOwner(
  then: string,
  stderr: "inherit" | "ignore" = "inherit",
): Bun.Subprocess<"ignore", "pipe", "inherit" | "ignore"> {
  const program = `
    import { Lab } from ${JSON.stringify(LAB)};
    const lab = Lab.create({ hosts: 2 });
    const child = lab.spawn(0, ["sleep", "3600"]);
    console.log(JSON.stringify({ child: child.pid, names: [...lab.hosts.map((h) => h.name), lab.hub] }));
    ${then}`;
  return Bun.spawn([process.execPath, "-e", program], { stdin: "ignore", stdout: "pipe", stderr });
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<{ child: number; names: string[] }> {
  let text = "";
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  while (!text.includes("\n")) {
    const { done, value } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  return JSON.parse(text.split("\n")[0] ?? "") as { child: number; names: string[] };
}

function isRunning(pid: number): boolean {
  const path = `/proc/${pid}/stat`;
  // An ended process stays as a zombie until init gets round to it.
  return existsSync(path) && !readFileSync(path, "utf8").includes(") Z ");
}

test("names carry their owner, and only ours are recognised", () => {
  expect(ownerOf("kpx12h0")).toBe(12);
  expect(ownerOf("kpx12-3hub")).toBe(12);
  for (const name of ["kpx", "kpxh0", "other", "kpx12h0x", "akpx12h0"]) expect(ownerOf(name)).toBeUndefined();
});

test("MACs are locally administered unicast and distinct", () => {
  const macs = Array.from({ length: 254 }, (_, index) => hostMac(index));
  expect(new Set(macs).size).toBe(254);
  for (const mac of macs) expect(Number.parseInt(mac.slice(0, 2), 16) & 3).toBe(2);
  expect(macs[0]).toBe("02:4b:50:00:00:01");
});

describeNetns("laboratory", () => {
  test("unicast reaches its host; multicast and broadcast reach all others, in order", async () => {
    await withLab({ hosts: 3 }, async (lab) => {
      const one = await listen(lab, 1, 30);
      const two = await listen(lab, 2, 20);
      send(lab, 0, BROADCAST, 10, 0);
      send(lab, 0, MULTICAST, 10, 10);
      // Host 1 has never sent: the bridge learns it first, so that the unicast is not flooded.
      send(lab, 1, lab.hosts[0]!.mac, 1, 0);
      send(lab, 0, lab.hosts[1]!.mac, 10, 20);
      expect(await one.finished).toEqual(Array.from({ length: 30 }, (_, i) => i));
      expect(await two.finished).toEqual(Array.from({ length: 20 }, (_, i) => i));
    });
  });

  test("interfaces have the chosen MAC and MTU, lo is up, and no IP noise is possible", async () => {
    await withLab({ hosts: 2, mtu: 9000 }, (lab) => {
      for (const [index, host] of lab.hosts.entries()) {
        const link = lab.exec(index, ["ip", "-o", "link", "show", host.interface]).stdout;
        expect(link).toContain(`link/ether ${host.mac}`);
        expect(link).toContain("mtu 9000");
        expect(lab.exec(index, ["ip", "-o", "link", "show", "lo"]).stdout).toContain("UP");
        expect(lab.exec(index, ["ip", "-o", "address", "show", host.interface]).stdout).toBe("");
        expect(host.ip).toBeUndefined();
      }
    });
  });

  test("with ip, both families carry datagrams between hosts", async () => {
    await withLab({ hosts: 2, ip: true }, async (lab) => {
      for (const family of ["ip", "ip6"] as const) {
        const target = lab.hosts[1]![family]!;
        expect(await datagram(lab, 0, 1, family)).toBe(`hello ${lab.hosts[0]![family]!} to ${target}`);
      }
    });
  });

  test("two laboratories of one process do not meet", async () => {
    await withLab({ hosts: 2 }, async (first) => {
      await withLab({ hosts: 2 }, async (second) => {
        const heard = await listen(second, 1, 1);
        send(first, 0, BROADCAST, 5, 100);
        send(second, 0, BROADCAST, 1, 7);
        expect(await heard.finished).toEqual([7]);
      });
    });
  });

  test("close ends processes and removes every namespace, and may be called twice", async () => {
    const lab = Lab.create({ hosts: 2 });
    const child = lab.spawn(1, ["sleep", "3600"]);
    const names = [...lab.hosts.map((host) => host.name), lab.hub];
    expect(listNamespaces()).toEqual(expect.arrayContaining(names));
    lab.close();
    lab.close();
    await child.exited;
    for (const name of names) expect(listNamespaces()).not.toContain(name);
    expect(() => lab.spawn(0, ["true"])).toThrow("closed");
  });

  test("a failure while building leaves nothing", () => {
    // Tests beside this one have some of their own, which come and go.
    const ours = (): string[] => listNamespaces().filter((name) => ownerOf(name) === process.pid);
    const before = ours();
    expect(() => Lab.create({ hosts: 2, mtu: 1 })).toThrow("could not be built");
    expect(() => Lab.create({ hosts: 0 })).toThrow("1 to 254 hosts");
    expect(ours()).toEqual(before);
  });

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`${signal} to the owner removes everything and still ends it by that signal`, async () => {
      const owner = otherOwner("await new Promise(() => {});");
      const { child, names } = await firstLine(owner.stdout);
      owner.kill(signal);
      await owner.exited;
      expect(owner.signalCode).toBe(signal);
      for (const name of names) expect(listNamespaces()).not.toContain(name);
      await until("the program in the laboratory has ended", () => !isRunning(child));
    });
  }

  test("an owner that forgets to close, or throws, leaves nothing", async () => {
    for (const then of [
      "process.exit(3);",
      "process.on('uncaughtException', () => process.exit(4)); throw new Error('on purpose');",
    ]) {
      const owner = otherOwner(then, "ignore");
      const { child, names } = await firstLine(owner.stdout);
      expect(await owner.exited).not.toBe(0);
      for (const name of names) expect(listNamespaces()).not.toContain(name);
      await until("the program in the laboratory has ended", () => !isRunning(child));
    }
  });

  test("what a killed owner left is swept, and nothing of a living one", async () => {
    const living = otherOwner("await new Promise(() => {});");
    const killed = otherOwner("await new Promise(() => {});");
    try {
      const kept = await firstLine(living.stdout);
      const left = await firstLine(killed.stdout);
      killed.kill("SIGKILL");
      await killed.exited;
      expect(sweepLeftovers()).toEqual(expect.arrayContaining(left.names));
      await until("the leftover program has ended", () => !isRunning(left.child));
      expect(listNamespaces()).toEqual(expect.arrayContaining(kept.names));
      expect(isRunning(kept.child)).toBe(true);
      for (const name of left.names) expect(listNamespaces()).not.toContain(name);
    } finally {
      living.kill("SIGTERM");
      await living.exited;
    }
  });
});
