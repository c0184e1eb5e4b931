// The entries of a ZIP archive, and the bytes of one as a stream, without reading the rest of the file.
import { UserError } from "./user_error.js";

const [END, END_64, LOCATOR_64, ENTRY] = [0x06054b50, 0x06064b50, 0x07064b50, 0x02014b50];
const LONGEST_END = 22 + 65535;
const [IN_64_BITS, ENCRYPTED] = [0xffffffff, 1];
const damaged = () => new UserError("cannot be unpacked: the ZIP archive is damaged or cut off; export it again");

async function viewOf(file, first, after) {
  return new DataView(await file.slice(Math.max(0, first), after).arrayBuffer());
}

/** The entries {name, size, packed, method, at, isEncrypted} of an archive (Blob). */
export async function zipEntries(file) {
  const tail = await viewOf(file, file.size - LONGEST_END, file.size);
  let end = tail.byteLength - 22;
  while (end >= 0 && tail.getUint32(end, true) !== END) end--;
  if (end < 0) throw damaged();
  let [size, at] = [tail.getUint32(end + 12, true), tail.getUint32(end + 16, true)];
  if (end >= 20 && tail.getUint32(end - 20, true) === LOCATOR_64) {
    const record = Number(tail.getBigUint64(end - 12, true));
    const wide = await viewOf(file, record, record + 56);
    if (wide.byteLength < 56 || wide.getUint32(0, true) !== END_64) throw damaged();
    [size, at] = [Number(wide.getBigUint64(40, true)), Number(wide.getBigUint64(48, true))];
  }
  const view = await viewOf(file, at, at + size);
  if (view.byteLength < size) throw damaged();
  const entries = [];
  for (let i = 0; i + 46 <= view.byteLength && view.getUint32(i, true) === ENTRY;) {
    const [nameLength, extraLength] = [view.getUint16(i + 28, true), view.getUint16(i + 30, true)];
    const name = new TextDecoder().decode(new Uint8Array(view.buffer, i + 46, nameLength));
    const entry = {
      name,
      method: view.getUint16(i + 10, true),
      isEncrypted: Boolean(view.getUint16(i + 8, true) & ENCRYPTED),
      packed: view.getUint32(i + 20, true),
      size: view.getUint32(i + 24, true),
      at: view.getUint32(i + 42, true),
    };
    readWide(entry, view, i + 46 + nameLength, extraLength);
    entries.push(entry);
    i += 46 + nameLength + extraLength + view.getUint16(i + 32, true);
  }
  return entries;
}

/** Sizes and the place of an entry that need 64 bits. */
function readWide(entry, view, first, length) {
  for (let i = first; i + 4 <= first + length; i += 4 + view.getUint16(i + 2, true)) {
    if (view.getUint16(i, true) !== 1) continue;
    let at = i + 4;
    for (const name of ["size", "packed", "at"]) {
      if (entry[name] !== IN_64_BITS) continue;
      entry[name] = Number(view.getBigUint64(at, true));
      at += 8;
    }
  }
}

/** The unpacked bytes of an entry, as a ReadableStream. */
export async function unpacked(file, entry) {
  if (entry.isEncrypted) throw new UserError("cannot be unpacked: it is encrypted");
  const head = await viewOf(file, entry.at, entry.at + 30);
  if (head.byteLength < 30) throw damaged();
  const first = entry.at + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  const content = file.slice(first, first + entry.packed);
  if (content.size < entry.packed) throw damaged();
  if (entry.method === 0) return content.stream();
  if (entry.method !== 8) throw new UserError("cannot be unpacked: its compression is unknown; unpack it first");
  return content.stream().pipeThrough(new DecompressionStream("deflate-raw"));
}
