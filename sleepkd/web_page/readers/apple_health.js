// Heart rates of an export of Apple Health: export.zip, export.xml or .xml.gz, of any length; the rules of
// sleepkd/cohorts/beats/apple_health.py.
import { order } from "./arrays.js";
import { RateDays } from "./rate_days.js";
import { UserError } from "./user_error.js";
import { unpacked, zipEntries } from "./zip_archive.js";

const HEART_RATE = "HKQuantityTypeIdentifierHeartRate";
const WANTED = `type="${HEART_RATE}"`;
const PER_MINUTE = { "count/min": 1, "count/s": 60, "": 1 };
const LONGEST_GAP_S = 20 * 60;
const HEADER_LETTERS = 1 << 16;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
const MOMENT = /^(\d{4})-(\d\d)-(\d\d) (\d{1,2}):(\d\d):(\d\d)\s*([AP]M)?\s*([-+])(\d\d):?(\d\d)$/i;

/** All heart rates of an export (Blob), in order of time, as RateDays. */
export async function readAppleDays(file) {
  const rates = { times: [], ahead: [], perMinute: [], source: [], sources: new Map(), unreadable: 0 };
  let rest = "";
  let isInside = false;
  try {
    const reader = (await opened(file)).pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      rest += part.value;
      if (!isInside) {
        const root = rest.indexOf("<HealthData");
        if (root < 0 && rest.length < HEADER_LETTERS) continue;
        checkRoot(rest, root);
        rest = rest.slice(root);
        isInside = true;
      }
      const end = rest.lastIndexOf("<"); // what is before it is whole
      takeRecords(rest.slice(0, end), rates);
      rest = rest.slice(end);
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot be unpacked (${error.message}); export it again`);
  }
  if (!isInside) checkRoot(rest, rest.indexOf("<HealthData"));
  if (!/^<\/HealthData>\s*$/.test(rest)) throw new UserError("is cut off; export it again");
  if (!rates.times.length) {
    const other = rates.unreadable ? `; ${rates.unreadable} heart rates have no readable date or value` : "";
    throw new UserError(`contains no records of heart rate (${HEART_RATE})${other}`);
  }
  return asDays(rates);
}

/** The XML of an export as a stream of bytes, unpacked. */
async function opened(file) {
  const head = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  if (head[0] === 0x1f && head[1] === 0x8b) return file.stream().pipeThrough(new DecompressionStream("gzip"));
  if (head[0] !== 0x50 || head[1] !== 0x4b) return file.stream();
  const isXml = ({ name }) => /\.xml$/i.test(name) && !/_cda\.xml$/i.test(name); // export_cda.xml: the same for clinics
  const named = (await zipEntries(file)).filter(isXml);
  if (!named.length) throw new UserError("is a ZIP archive without the export.xml of Apple Health; unpack it");
  return unpacked(
    file,
    named.reduce((a, b) => (b.size > a.size ? b : a)),
  );
}

function checkRoot(text, root) {
  if (root >= 0) return;
  const isForClinics = text.includes("<ClinicalDocument");
  const what = "the ClinicalDocument of an export of Apple Health: give export.xml";
  throw new UserError(`is ${isForClinics ? what : "no export of Apple Health: it has no element HealthData"}`);
}

/** Take the heart rates of a part of the XML. */
function takeRecords(text, rates) {
  for (let at = text.indexOf(WANTED); at >= 0; at = text.indexOf(WANTED, at + 1)) {
    const first = text.lastIndexOf("<", at);
    if (!/^<Record\s/.test(text.slice(first, first + 8))) continue;
    const tag = text.slice(first).match(/^<(?:[^>"]|"[^"]*")*>/)?.[0] ?? "";
    const attributes = Object.fromEntries(
      [...tag.matchAll(/([\w:]+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
    );
    const moment = momentOf(attributes.startDate ?? "");
    const scale = PER_MINUTE[attributes.unit ?? ""];
    const rate = Number(attributes.value || NaN) * scale;
    if (!moment || !Number.isFinite(rate)) {
      rates.unreadable++;
      continue;
    }
    const source = plainText(attributes.sourceName ?? "");
    if (!rates.sources.has(source)) rates.sources.set(source, rates.sources.size);
    rates.times.push(moment.unix);
    rates.ahead.push(moment.ahead);
    rates.perMinute.push(rate);
    rates.source.push(Math.min(rates.sources.get(source), 255));
  }
}

function asDays({ times, ahead, perMinute, source, sources }) {
  const sorted = order(times);
  const column = (values) => sorted.map((i) => values[i]);
  const first = times[sorted[0]];
  return new RateDays({
    times: sorted.map((i) => times[i] - first),
    perMinute: column(perMinute),
    local: sorted.map((i) => times[i] + ahead[i]),
    source: column(source),
    sources: [...sources.keys()],
    longestGap: LONGEST_GAP_S,
  });
}

/** A date as Apple writes it: 2024-03-09 23:00:00 +0100, on some phones with a 12-hour clock. */
function momentOf(text) {
  const found = text.replace(/\s+/g, " ").match(MOMENT);
  if (!found) return null;
  const [, year, month, day, hour, minute, second, half, sign, zoneHours, zoneMinutes] = found;
  const hours = half ? (hour % 12) + (half.toUpperCase() === "PM" ? 12 : 0) : Number(hour);
  const ahead = (sign === "-" ? -1 : 1) * (zoneHours * 3600 + zoneMinutes * 60);
  const local = Date.UTC(year, month - 1, day, hours, minute, second) / 1000;
  return Number.isFinite(local) ? { unix: local - ahead, ahead } : null;
}

/** The text of an attribute, without control characters, which iOS writes although XML forbids them. */
function plainText(text) {
  const decoded = text.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (all, decimal, hex, name) => {
    if (name) return ENTITIES[name] ?? all;
    return String.fromCodePoint(decimal ? Number(decimal) : parseInt(hex, 16));
  });
  return decoded.replace(/[\0-\x08\v\f\x0e-\x1f]/g, "");
}
