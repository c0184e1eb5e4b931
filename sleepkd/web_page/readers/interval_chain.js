// Beat times of RR intervals whose rows carry a clock, and of intervals that are listed twice; the rules of
// sleepkd/cohorts/beats/interval_chain.py and interval_copies.py.
import { percentile, searchSorted, steps } from "./arrays.js";
import { UserError } from "./user_error.js";

const ROWS_AHEAD = 60;
const LEAST_GAP_S = 0.15;
const LEAST_REPEAT_S = 0.5;
const SPREAD_PERCENT = 95;
const SPREADS = 5;
const SPREAD_SHARE = 0.35;
const BEGINS_A_BEAT_S = 0.3;
const SAME_BEAT_S = 0.15;
const BLOCK_S = 300;
const MOST_OF_A_BLOCK = 1.3;
const FITS_S = 0.15;
const NEAR_ROWS = 6;
const COPIES = 0.9;

/** The times of beats, s, of RR intervals, s, with the clock's times of their rows, in order; NaN for a missing one. */
export function beatsOfChain(intervals, times) {
  const held = [...intervals.keys()].filter((i) => Number.isFinite(intervals[i]));
  if (!held.length) return [];
  const lasting = held.map((i) => intervals[i]);
  let end = 0;
  const chain = lasting.map((x) => (end += x));
  const delays = chainDelays(
    chain,
    held.map((i) => times[i]),
  );
  const ends = chain.map((x, i) => x + delays[i]);
  const begins = [...ends.keys()].filter((i) => !i || delays[i] - delays[i - 1] >= BEGINS_A_BEAT_S);
  const beats = Float64Array.from([...ends, ...begins.map((i) => ends[i] - lasting[i])]).sort();
  return Array.from(beats.filter((x, i) => !i || x - beats[i - 1] > SAME_BEAT_S));
}

/** What to add to the chain's end of each interval to place it: constant but for gaps. */
function chainDelays(chain, times) {
  const last = [...times.keys()].filter((i) => Number.isFinite(times[i]) && times[i] !== times[i + 1]); // of each packet
  if (!last.length) return chain.map(() => 0);
  const late = last.map((i) => times[i] - chain[i]);
  const smallest = late.map((_, k) => Math.min(...late.slice(k, k + ROWS_AHEAD)));
  const spread = percentile(
    late.map((x, k) => x - smallest[k]),
    SPREAD_PERCENT,
  );
  const rise = Math.max(LEAST_GAP_S, SPREAD_SHARE * spread);
  const rises = [...[...steps(smallest).keys()].filter((k) => smallest[k + 1] - smallest[k] > rise), late.length - 1];
  const step = resolution(last.map((i) => times[i]));
  let delay = smallest[0];
  const delays = smallest.map((target, k) => {
    const rows = Math.min(ROWS_AHEAD, rises[searchSorted(rises, k)] - k + 1);
    const isAlone = k + 1 === late.length || late[k + 1] > smallest[k] + Math.max(spread, step);
    const noise = spread * Math.max(SPREAD_SHARE, SPREADS / rows);
    const forward = Math.max(LEAST_GAP_S, noise, isAlone ? step : 0);
    const moved = target - delay;
    if (!(moved >= -Math.max(LEAST_REPEAT_S, noise) && moved <= forward)) delay = target;
    return delay;
  });
  return chain.map((_, i) => delays[Math.min(searchSorted(last, i), last.length - 1)]);
}

/** The step to which times, s, are rounded: 60, 1, or 0 for fractions of a second. */
const resolution = (times) => [60, 1].find((step) => times.every((x) => x % step === 0)) ?? 0;

/** Which RR intervals are no copies of others, as a mask. Throws for intervals that overlap and differ. */
export function keptIntervals(intervals, times, lines) {
  const usable = [...intervals.keys()].filter((i) => Number.isFinite(intervals[i]) && Number.isFinite(times[i]));
  const all = intervals.map(() => true);
  const blocks = new Map(); // of five minutes: its first row, and how long the intervals in it last
  for (const i of usable) {
    const number = Math.floor((times[i] - times[usable[0]]) / BLOCK_S);
    const block = blocks.get(number) ?? { first: i, lasting: 0 };
    block.lasting += intervals[i];
    blocks.set(number, block);
  }
  let before = null;
  const full = [...blocks.keys()]
    .sort((a, b) => a - b)
    .flatMap((number) => {
      const { first, lasting } = blocks.get(number);
      const silent = Math.max(0, number - (before ?? number) - 1); // blocks of a stall: what follows may hold their beats
      before = number;
      const isFull = lasting > MOST_OF_A_BLOCK * BLOCK_S * (1 + silent) + intervals[first];
      return isFull ? [first] : [];
    });
  if (!full.length) return { kept: all, note: "" };
  const second = secondStream(intervals, times);
  const kept = second.map((is) => !is);
  const firstStream = [...kept.keys()].filter((i) => kept[i]);
  const copies = [...second.keys()].filter((i) => second[i]);
  const equal = copies.filter((i) => {
    const place = searchSorted(firstStream, i);
    const near = firstStream.slice(Math.max(0, place - NEAR_ROWS), place + NEAR_ROWS);
    return near.some((j) => Math.abs(intervals[j] - intervals[i]) < 1e-6);
  });
  if (copies.length && equal.length >= COPIES * copies.length)
    return { kept, note: `${copies.length} RR intervals are listed twice: the copies are left out` };
  const what = `line ${lines[full[0]]}: its RR intervals last longer than its times allow`;
  throw new UserError(`${what}, so two people or sources overlap`);
}

/** Intervals that do not begin where one of the first stream ends, but overlap it. */
function secondStream(intervals, times) {
  const ends = [-Infinity, -Infinity];
  return intervals.map((interval, k) => {
    if (!Number.isFinite(interval) || !Number.isFinite(times[k])) return false;
    const gaps = ends.map((end) => times[k] - interval - end);
    const stream = Number(gaps[0] < -FITS_S || (Math.abs(gaps[1]) < FITS_S && FITS_S < gaps[0]));
    ends[stream] = times[k];
    return stream === 1;
  });
}
