/**
 * A delivered value as a line of text, for people (`text`, `hex`) and programs (`json`). Pure.
 */
import { CLIENT_RECORD_BYTES, ClientRecord, readClientRecord } from "../wire/client_record.ts";
import { position } from "./position.ts";

export type ValueForm = "text" | "hex" | "json";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const record = new ClientRecord();

/**
 * `unwrap`: in the Kernel_Paxos wire a value is a client's record: shown is what is in it, with the client's id for a
 * session. What is no such record is shown as it is.
 */
export function valueLine(
  form: ValueForm,
  unwrap: boolean,
  iid: number,
  index: number,
  session: number,
  sequence: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
): string {
  const isRecord = unwrap && readClientRecord(bytes, offset, length, record);
  const from = isRecord ? offset + CLIENT_RECORD_BYTES : offset;
  const value = Buffer.from(bytes.buffer, bytes.byteOffset + from, offset + length - from);
  const whose = isRecord ? record.clientId : session;
  if (form === "json")
    return `{"iid":${iid},"index":${index},"session":${whose},"sequence":${sequence},"value":"${value.toString("hex")}"}\n`;
  const shown = form === "hex" ? value.toString("hex") : textOf(value);
  return `${position(iid, index)}${shown === "" ? "" : ` ${shown}`}\n`;
}

/** The value itself when it is text that leaves a terminal alone, else 0x and its bytes in hex. */
export function textOf(value: Uint8Array): string {
  let text: string;
  try {
    text = decoder.decode(value);
  } catch {
    // No UTF-8.
    return hex(value);
  }
  return /[\p{Cc}\p{Co}\p{Cn}\p{Cf}\p{Zl}\p{Zp}]/u.test(text) ? hex(value) : text;
}

function hex(value: Uint8Array): string {
  return `0x${Buffer.from(value.buffer, value.byteOffset, value.length).toString("hex")}`;
}
