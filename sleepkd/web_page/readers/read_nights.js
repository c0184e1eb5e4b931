// The nights of a file of a watch, a chest strap or a program, by its name and its first bytes.
import { steps } from "./arrays.js";
import { readAppleDays } from "./apple_health.js";
import { readBeatText } from "./beat_text.js";
import { readFit } from "./fit_file.js";
import { UserError } from "./user_error.js";
import { findNights, WHOLE_S } from "./which_night.js";

const DAY_S = 86400;
const LARGEST_TEXT = 2 ** 28;
const NOT_READ = {
  edf: "holds signals: this page reads heartbeats and heart rates; for an ECG use sleepkd predict",
  bdf: "holds signals: this page reads heartbeats and heart rates; for an ECG use sleepkd predict",
  json: "is JSON, which is not read: export the session as CSV",
  tcx: "is TCX, which holds an activity in short: export the original, a FIT file",
  gpx: "is GPX, which holds a track: export the original, a FIT file",
  xlsx: "is a spreadsheet: save it as CSV",
  xls: "is a spreadsheet: save it as CSV",
  pdf: "is a PDF, which holds no data: export the recording as CSV",
};

/**
 * The nights of a file (File), the last `most` of them: [{number, of, times, seconds, cadence, start, device,
 * leftOut, notes}]. times: of heartbeats, s from the first. seconds: the length of the night. cadence: of the averaged heart rate that they were made from, s; 0 for
 * heartbeats. start: {seconds since 1970 on the clock of the place, dated, zone ("UTC" or "")}, null if unknown.
 * A recording of up to 16 h is one night; in a longer one, nights are found. Throws UserError for other files.
 */
export async function readNights(file, most = Infinity) {
  const ending = file.name.toLowerCase().replace(/\.gz$/, "").split(".").at(-1);
  if (ending in NOT_READ) throw new UserError(NOT_READ[ending]);
  if (ending === "zip" || ending === "xml") {
    const days = await readAppleDays(file);
    const spans = days.spans();
    return chosen(spans, most).map(([span, number]) => {
      const night = days.night(span);
      return { ...night, seconds: night.times.at(-1), number, of: spans.length };
    });
  }
  if (file.size > LARGEST_TEXT) throw new UserError("holds more than 256 MiB: give one night");
  const bytes = new Uint8Array(await file.arrayBuffer());
  const recording = ending === "fit" ? readFit(bytes) : await readBeatText(bytes);
  const { times, start } = recording;
  const seconds = times.at(-1);
  if (seconds <= WHOLE_S) return [{ ...recording, seconds, number: 1, of: 1, device: "", leftOut: [] }];
  const rate = steps(times).map((step) => 60 / Math.max(step, 1e-3));
  const isLocal = start?.dated && !start.zone;
  const clock = isLocal ? times.slice(1).map((x) => x + (start.seconds % DAY_S)) : null;
  const spans = findNights(times.slice(1), rate, clock);
  return chosen(spans, most).map(([span, number]) => ({ ...partOf(recording, span), number, of: spans.length }));
}

const chosen = (spans, most) => spans.map((span, i) => [span, i + 1]).slice(-most);

/** A part of a recording, its times from the start of the part, which is a whole second. */
function partOf(recording, span) {
  const first = Math.floor(span.start);
  const inside = recording.times.filter((x) => x >= first && x <= span.end);
  const start = recording.start && { ...recording.start, seconds: recording.start.seconds + first };
  const seconds = Math.min(span.end, recording.times.at(-1)) - first;
  return { ...recording, times: inside.map((x) => x - first), start, seconds, device: "", leftOut: [] };
}
