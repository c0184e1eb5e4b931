// RR intervals or heart rates of a FIT file: activities and daily monitoring of Garmin, Suunto, Polar, Wahoo, Coros;
// the rules of sleepkd/cohorts/beats/fit_file.py, and the format as Garmin describes it.
import { beatsOfRate, rateCadence } from "./averaged_rate.js";
import { orderedBeats } from "./beat_text.js";
import { beatsOfChain } from "./interval_chain.js";
import { UserError } from "./user_error.js";

const SINCE_1989 = Date.UTC(1989, 11, 31) / 1000;
const LEAST_TIME = 0x10000000; // smaller numbers count from when the device was switched on
const ENOUGH_INTERVALS = 0.5;
const NO_INTERVAL = 0xffff;
const [FILE_ID, RECORD, ACTIVITY, MONITORING, HRV, MONITORING_INFO, CORRELATION] = [0, 20, 34, 55, 78, 103, 162];
const [TIMESTAMP, TIMESTAMP_16] = [253, 26];
const LOCAL_TIMESTAMP = { [ACTIVITY]: 5, [MONITORING_INFO]: 0, [CORRELATION]: 3 };
const HEART_RATE = { [RECORD]: 3, [MONITORING]: 27 };
const KINDS = { 1: "device", 2: "settings", 3: "sport", 5: "workout", 6: "course", 9: "weight", 14: "blood_pressure" };
const CRC = [
  0x0000, 0xcc01, 0xd801, 0x1400, 0xf001, 0x3c00, 0x2800, 0xe401, 0xa001, 0x6c00, 0x7800, 0xb401, 0x5000, 0x9c01,
  0x8801, 0x4400,
];

/** The beats of a FIT file (Uint8Array): of its RR intervals, or else of its heart rates. */
export function readFit(bytes) {
  const messages = { now: NaN, intervals: [], clock: [], rateTimes: [], rates: [], ahead: null, kind: "unknown" };
  checkHeader(bytes, 0);
  for (let first = 0; first < bytes.length;) {
    const view = checkHeader(bytes, first);
    const after = first + view.getUint8(0) + view.getUint32(4, true);
    if (crcOf(bytes.subarray(first, after + 2)) !== 0) throw damaged("its checksum is wrong");
    try {
      readMessages(new DataView(bytes.buffer, bytes.byteOffset + first, after - first), view.getUint8(0), messages);
    } catch (error) {
      throw error instanceof RangeError ? damaged("a message is cut off") : error;
    }
    first = after + 2;
  }
  return beatsOf(messages);
}

const damaged = (why) => new UserError(`is a damaged FIT file (${why}); export it again`);

/** A view of the part of the file from its header on. Throws for a file that does not begin as FIT, or is cut off. */
function checkHeader(bytes, first) {
  const view = new DataView(bytes.buffer, bytes.byteOffset + first, bytes.length - first);
  const isFit = view.byteLength >= 12 && view.getUint32(8, false) === 0x2e464954; // .FIT
  if (!isFit || ![12, 14].includes(view.getUint8(0)))
    throw new UserError("has not the format of a FIT file, a header of 12 or 14 bytes with .FIT");
  if (view.byteLength < view.getUint8(0) + view.getUint32(4, true) + 2)
    throw new UserError("is a FIT file that is cut off; export it again");
  return view;
}

function crcOf(bytes) {
  let value = 0;
  for (const byte of bytes)
    for (const half of [byte & 15, byte >> 4]) value = ((value >> 4) & 0x0fff) ^ CRC[value & 15] ^ CRC[half];
  return value;
}

/** Take the messages of a file, in order. Times are s since 1989. */
function readMessages(view, at, messages) {
  const definitions = new Map();
  let last = NaN;
  while (at < view.byteLength) {
    const header = view.getUint8(at++);
    if (header & 0x40 && !(header & 0x80)) {
      const isLittle = view.getUint8(at + 1) === 0;
      const fields = [];
      const number = view.getUint16(at + 2, isLittle);
      let count = view.getUint8(at + 4);
      at += 5;
      for (; count--; at += 3) fields.push({ field: view.getUint8(at), size: view.getUint8(at + 1) });
      if (header & 0x20)
        for (count = view.getUint8(at++); count--; at += 3) fields.push({ field: null, size: view.getUint8(at + 1) });
      definitions.set(header & 15, { number, isLittle, fields });
      continue;
    }
    const isCompressed = Boolean(header & 0x80);
    const definition = definitions.get(isCompressed ? (header >> 5) & 3 : header & 15);
    if (!definition) throw damaged("a message has no definition");
    const values = new Map();
    for (const { field, size } of definition.fields) {
      if (field !== null) values.set(field, { at, size });
      at += size;
    }
    if (at > view.byteLength) throw new RangeError();
    const moment = numberIn(view, values.get(TIMESTAMP), definition.isLittle);
    if (isCompressed) last += ((header & 31) - last) & 31;
    else if (moment !== null) last = moment;
    takeMessage(view, definition, values, isCompressed ? last : moment, messages);
  }
}

/** A field of 1, 2 or 4 bytes without sign; null for a missing one. */
function numberIn(view, place, isLittle) {
  if (!place || ![1, 2, 4].includes(place.size)) return null;
  const value = {
    1: () => view.getUint8(place.at),
    2: () => view.getUint16(place.at, isLittle),
    4: () => view.getUint32(place.at, isLittle),
  }[place.size]();
  return value === 2 ** (8 * place.size) - 1 ? null : value;
}

function takeMessage(view, { number, isLittle }, values, moment, messages) {
  const numberOf = (field) => numberIn(view, values.get(field), isLittle);
  const short = number === MONITORING ? numberOf(TIMESTAMP_16) : null;
  if (moment !== null && moment >= LEAST_TIME) {
    messages.now = moment;
    const local = number in LOCAL_TIMESTAMP ? numberOf(LOCAL_TIMESTAMP[number]) : null;
    if (local !== null) messages.ahead = local - moment;
  } else if (short !== null && Number.isFinite(messages.now)) messages.now += (short - messages.now) & 0xffff;
  if (number === FILE_ID) messages.kind = KINDS[numberOf(0)] ?? String(numberOf(0));
  else if (number === HRV && values.has(0)) {
    const { at, size } = values.get(0);
    for (let i = at; i + 2 <= at + size; i += 2) {
      const interval = view.getUint16(i, isLittle);
      if (!interval || interval === NO_INTERVAL) continue;
      messages.intervals.push(interval / 1000);
      messages.clock.push(messages.now);
    }
  } else if (number in HEART_RATE && numberOf(HEART_RATE[number])) {
    messages.rateTimes.push(messages.now);
    messages.rates.push(numberOf(HEART_RATE[number]));
  }
}

function beatsOf({ intervals, clock, rateTimes, rates, now, ahead, kind }) {
  if (!intervals.length && !rates.length) {
    const what = `holds no RR interval and no heart rate (its kind of file: ${kind})`;
    throw new UserError(`${what}; export an activity or the daily monitoring`);
  }
  const lasting = intervals.reduce((a, b) => a + b, 0);
  const bounds = rateTimes.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)], [Infinity, -Infinity]);
  const span = rates.length ? bounds[1] - bounds[0] : 0;
  const isExact = lasting >= ENOUGH_INTERVALS * span;
  const beats = isExact ? beatsOfChain(intervals, clock) : beatsOfRate(rateTimes, rates);
  if (beats.length < 2) throw new UserError("holds no heartbeats");
  const first = beats.reduce((a, b) => Math.min(a, b));
  const seconds = SINCE_1989 + first + (ahead ?? 0);
  const start = Number.isFinite(now) ? { seconds, dated: true, zone: ahead === null ? "UTC" : "" } : null;
  const cadence = isExact ? 0 : rateCadence(rateTimes, rates);
  return orderedBeats(
    beats.map((x) => x - first),
    cadence,
    start,
  );
}
