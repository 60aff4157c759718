/** The checksum of frames, under the name by which links and wires know it. */
export { crc32c } from "../protocol/crc32c.ts";
