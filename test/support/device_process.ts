/**
 * The other process of test/device.test.ts. `learner` delivers COUNT values from FIRST on and stays; `reader` reads until it
 * has COUNT values, checking each, and says "attached" first; `idle` attaches and reads nothing. All stay until killed,
 * except a reader that has what it wanted.
 */
import { DeliveryLog } from "../../src/delivery/delivery_log.ts";
import { DeviceWriter } from "../../src/delivery/device.ts";
import { DeviceReader } from "../../src/delivery/device_reader.ts";
import { deviceValue } from "./device_value.ts";

const { DIRECTORY: directory = "", COUNT = "0", FIRST = "1", ROLE } = process.env;
const count = Number(COUNT);

async function learner(): Promise<void> {
  const log = new DeliveryLog(1 << 22);
  const writer = DeviceWriter.create({ directory, cluster: "test", id: 3, log });
  console.log("ready");
  const first = Number(FIRST);
  for (let iid = first; iid < first + count; ) {
    writer.poll(performance.now() * 1000);
    const value = deviceValue(iid);
    if (writer.readers > 0) {
      log.append(iid, 0, true, 7, iid, value, 0, value.length);
      log.closeInstance(iid++);
      writer.pump();
    } else await Bun.sleep(1);
  }
  for (;;) {
    writer.poll(performance.now() * 1000);
    writer.pump();
    await Bun.sleep(5);
  }
}

async function reader(): Promise<void> {
  const device = DeviceReader.open(directory, "test", 3, { acknowledges: true });
  let iid = 0;
  while (iid < count) {
    if (!device.read()) {
      device.wait(50_000);
      continue;
    }
    const value = Buffer.from(device.bytes.buffer, device.offset, device.length);
    if (device.iid !== ++iid || !value.equals(deviceValue(iid))) throw new Error(`wrong value at ${iid}`);
    device.acknowledge(iid);
  }
  device.close();
}

async function idle(): Promise<void> {
  const device = DeviceReader.open(directory, "test", 3);
  while (device.state === "attaching") {
    device.read();
    await Bun.sleep(1);
  }
  console.log("ready");
  for (;;) await Bun.sleep(1000);
}

await { learner, reader, idle }[ROLE as "learner" | "reader" | "idle"]();
