// Heartbeats as text of watches, chest straps and programs: from columns to the times of beats; the rules of
// sleepkd/cohorts/beats/beat_columns.py and beat_text.py.
import { known, median, order, short, steps, unique } from "./arrays.js";
import { beatsCadence, beatsOfRate, rateCadence } from "./averaged_rate.js";
import { checkHoldsBeats, chooseColumns } from "./choose_columns.js";
import { beatsOfChain, keptIntervals } from "./interval_chain.js";
import { chronological } from "./row_order.js";
import { sniffTable } from "./sniff_table.js";
import { readLines } from "./text.js";
import { startAt } from "./time_cells.js";
import { UserError } from "./user_error.js";

const PLAUSIBLE_RATES = [20, 250];
const COARSEST_S = 900;
const TWO_RATES_SHARE = 0.5;
const TWO_RATES_DIFFER = 3;
const OFFSET_INTERVALS = 5;
const LONGEST_SPAN_S = 14 * 86400;

/** The beats of a text file (Uint8Array): as `orderedBeats`, with notes on decisions that may be wrong. */
export async function readBeatText(bytes) {
  return beatsOfLines(await readLines(bytes));
}

/** The same of the lines of a text. */
export function beatsOfLines(lines) {
  const table = sniffTable(lines);
  checkHoldsBeats(table);
  const columns = chooseColumns(table);
  const read = { times: beatsOfTimes, intervals: beatsOfIntervals, rate: beatsOfRates }[columns.content](columns);
  if (read.times.length < 2) throw new UserError("holds no beats");
  const first = read.times.reduce((a, b) => Math.min(a, b));
  const start = columns.times ? startAt(columns.times, first) : null;
  const beats = read.times.map((x) => x - first);
  return { ...orderedBeats(beats, read.cadence, start), notes: [...table.notes, ...columns.notes, ...read.notes] };
}

/**
 * Beats {times, cadence, start}, in order, each once. times: s. cadence: of the averaged heart rate that they were made
 * from, s, 0 for heartbeats; null recognises it. start: {seconds since 1970, dated, zone} of 0 s, null if unknown.
 */
export function orderedBeats(times, cadence = null, start = null) {
  const beats = unique(times);
  checkSpan(beats[0], beats.at(-1));
  return { times: beats, cadence: cadence ?? beatsCadence(beats), start, notes: [] };
}

function checkSpan(first, last) {
  if (last - first <= LONGEST_SPAN_S) return;
  const what = `its first and last time are ${short((last - first) / 3600)} h apart, more than 14 days`;
  throw new UserError(`${what}: are they in another unit than s? give one recording`);
}

function beatsOfTimes({ values, lines, times }) {
  const held = [...values.keys()].filter((i) => Number.isFinite(values[i][0]));
  const seconds = held.map((i) => values[i][0]);
  const apart = seconds.map((x, i) => (i ? x - seconds[i - 1] : NaN));
  const { times: ordered, notes } = chronological(
    seconds,
    apart,
    held.map((i) => lines[i]),
    times,
  );
  return { times: ordered, cadence: null, notes };
}

function beatsOfIntervals({ values, lines, times: clock }) {
  if (!clock) return beatsOfList(values, lines);
  const rows = [...values.keys()].filter((i) => values[i].some(Number.isFinite));
  if (!rows.length) return { times: [], cadence: null, notes: [] };
  const sums = rows.map((i) => known(values[i]).reduce((a, b) => a + b));
  const seconds = rows.map((i) => clock.seconds[i]);
  const placed = chronological(
    seconds,
    sums,
    rows.map((i) => lines[i]),
    clock,
  );
  // Several intervals of a row end one after the other, the last at its time.
  const flat = placed.rows.flatMap((row, k) => {
    const time = Number.isFinite(seconds[row]) ? placed.times[k] : NaN;
    return known(values[rows[row]]).map((interval) => ({ interval, time, line: lines[rows[row]] }));
  });
  const column = (name) => flat.map((one) => one[name]);
  const { kept, note } = keptIntervals(column("interval"), column("time"), column("line"));
  const chosen = (name) => column(name).filter((_, i) => kept[i]);
  const beats = beatsOfChain(chosen("interval"), chosen("time"));
  return { times: beats, cadence: null, notes: note ? [...placed.notes, note] : placed.notes };
}

/** Beats of RR intervals, s, that follow one another. */
function beatsOfList(values, lines) {
  const isWide = values.some((row) => row.length > 1);
  const blank = values.findIndex(([x]) => !Number.isFinite(x));
  if (!isWide && blank >= 0)
    throw new UserError(`line ${lines[blank]}: has a blank interval and no times to place what follows it`);
  let intervals = known(values.flat());
  const notes = [];
  let end = 0;
  if (intervals.length > 2 && intervals[0] > Math.max(3, OFFSET_INTERVALS * median(intervals.slice(1)))) {
    notes.push(`the first number is the time of the first beat, ${short(intervals[0])} s`);
    [end, ...intervals] = intervals;
  }
  return { times: [end, ...intervals.map((x) => (end += x))], cadence: null, notes };
}

function beatsOfRates({ values, lines, times: clock }) {
  const [low, high] = PLAUSIBLE_RATES;
  const isOdd = (x) => Number.isFinite(x) && x !== 0 && !(x >= low && x <= high);
  const all = values.map(([x]) => x);
  const odd = all.filter(isOdd).length;
  const notes = odd ? [`${odd} heart rates outside ${low} to ${high} per minute are left out`] : [];
  const rows = [...all.keys()].filter((i) => Number.isFinite(clock.seconds[i]));
  if (!rows.length) return { times: [], cadence: null, notes };
  const rates = rows.map((i) => (isOdd(all[i]) ? NaN : all[i]));
  const seconds = rows.map((i) => clock.seconds[i]);
  const placed = chronological(
    seconds,
    rates,
    rows.map((i) => lines[i]),
    clock,
  );
  const ordered = placed.rows.map((row) => rates[row]);
  const at = unique(placed.times);
  checkSpan(at[0], at.at(-1));
  checkTwoRates(placed.times, ordered);
  const apart = median(steps(at));
  if (apart > COARSEST_S)
    throw new UserError(
      `its heart rates are ${short(apart / 60, 3)} min apart (median), too far apart to show sleep stages`,
    );
  const beats = beatsOfRate(placed.times, ordered);
  return { times: beats, cadence: rateCadence(placed.times, ordered), notes: [...placed.notes, ...notes] };
}

/** Throw where most times have two heart rates that differ. */
function checkTwoRates(times, rates) {
  const sorted = order(times);
  const same = steps(sorted.map((i) => times[i])).map((step) => step === 0);
  const apart = steps(sorted.map((i) => rates[i])).map(Math.abs);
  const differ = known(apart.filter((_, i) => same[i]));
  const distinct = Math.max(1, times.length - same.filter(Boolean).length);
  if (differ.length > TWO_RATES_SHARE * distinct && median(differ) >= TWO_RATES_DIFFER)
    throw new UserError("has two heart rates at most times, of two people or sources; keep one");
}
