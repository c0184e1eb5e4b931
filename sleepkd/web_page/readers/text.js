// Text of any encoding; the rules of sleepkd/cohorts/text.py.
import { UserError } from "./user_error.js";

const LARGEST_UNZIPPED = 2 ** 28;

/** The lines of a text file (Uint8Array), which may be gzipped, without the blank lines at its end. */
export async function readLines(bytes) {
  return linesOf(decoded(bytes[0] === 0x1f && bytes[1] === 0x8b ? await gunzip(bytes) : bytes));
}

/** The lines of a text, without the blank lines at its end. */
export function linesOf(text) {
  if (text.includes("\0")) throw new UserError("is not text");
  const lines = text.split(/\r*\n|\r/);
  while (lines.length && !lines.at(-1).trim()) lines.pop();
  return lines;
}

async function gunzip(bytes) {
  const parts = [];
  let size = 0;
  try {
    const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parts.push(part.value);
      size += part.value.length;
      if (size > LARGEST_UNZIPPED) break;
    }
  } catch (error) {
    throw new UserError(`is a damaged gzip file: ${error.message}`);
  }
  if (size > LARGEST_UNZIPPED) throw new UserError("holds more than 256 MiB when unpacked");
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** The text of bytes in UTF-8, UTF-16 or, if it is neither, Latin-1. */
function decoded(bytes) {
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return new TextDecoder("utf-16be").decode(bytes);
  const isUtf16 = bytes.length > 3 && ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[1] === 0 && bytes[3] === 0));
  if (isUtf16) return new TextDecoder("utf-16le").decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("latin1").decode(bytes);
  }
}
