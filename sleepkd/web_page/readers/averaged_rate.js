// Averaged heart rate: its beats, its cadence, and how it is recognised; the rules of sleepkd/data/averaged_rate.py and
// heart_rate_input.py.
import { interpolate, median, order, percentile, runs, steps } from "./arrays.js";

const SHORTEST_GAP_S = 20;
const CADENCES_OF_GAP = 2.5;
const SPARSE_CADENCE_S = 60;
const SPARSE_GAP_S = 20 * 60;
const HIGHEST_RATE = 400;
const [MIN_RR_S, MAX_RR_S] = [0.3, 2];
const SAME_S = 1.5e-3;
const LEAST_EQUAL = 0.45;
const LEAST_BEATS = 20;
const LARGEST_DEVIATION = 0.05;
const SHARE_OF_SPREAD = 0.5;
const ROWS_OF_HELD_VALUE = 1.5;
const LEAST_HOLDS = 10;

/** Beats of a heart rate at times, s: one for each whole cycle of its integral; none where it is missing. */
export function beatsOfRate(times, perMinute, longestGapS = null) {
  const sorted = order(times);
  times = sorted.map((i) => times[i]);
  perMinute = sorted.map((i) => perMinute[i]);
  const gap = longestGapS ?? longestGap(times);
  const known = times.map((x, i) => Number.isFinite(x) && perMinute[i] > 0 && perMinute[i] <= HIGHEST_RATE);
  const beats = [];
  for (let first = 0, last; first < times.length; first = last + 1) {
    last = first;
    while (last + 1 < times.length && known[last] && known[last + 1] && times[last + 1] - times[last] <= gap) last++;
    if (last === first) continue;
    const cycles = [0];
    for (let i = first + 1; i <= last; i++)
      cycles.push(cycles.at(-1) + ((perMinute[i] + perMinute[i - 1]) / 120) * (times[i] - times[i - 1]));
    const run = times.slice(first, last + 1);
    for (let k = 0; k <= Math.floor(cycles.at(-1)); k++) beats.push(interpolate(k, cycles, run));
  }
  return beats;
}

/** The time, s, by which two values of a heart rate may differ without a gap. */
function longestGap(times) {
  const forward = steps(times).filter((step) => step > 0);
  const cadence = forward.length ? median(forward) : 0;
  return Math.max(cadence > SPARSE_CADENCE_S ? SPARSE_GAP_S : SHORTEST_GAP_S, CADENCES_OF_GAP * cadence);
}

/** The cadence of a table of heart rates, s; 0 for one row per heartbeat. */
export function rateCadence(times, perMinute) {
  const rows = new Map();
  times.forEach((x, i) => {
    if (Number.isFinite(x) && perMinute[i] > 0 && !rows.has(x)) rows.set(x, perMinute[i]);
  });
  const at = [...rows.keys()].sort((a, b) => a - b);
  const rates = at.map((x) => rows.get(x));
  if (at.length < 3 || oneRowPerBeat(at, rates)) return 0;
  const spacing = median(steps(at));
  const changes = [...at.keys()].filter((i) => i && rates[i] !== rates[i - 1]);
  const holds = steps(changes.map((i) => at[i]));
  const isHeld = holds.length >= LEAST_HOLDS && percentile(holds, 10) >= ROWS_OF_HELD_VALUE * spacing;
  const cadence = isHeld ? percentile(holds, 25) : spacing;
  return cadence >= 30 / median(rates) ? cadence : 0;
}

function oneRowPerBeat(times, rates) {
  const apart = steps(times);
  const near = [...apart.keys()].filter((i) => apart[i] >= MIN_RR_S && apart[i] <= MAX_RR_S);
  if (near.length < 0.5 * apart.length) return false;
  const usual = median(near.map((i) => apart[i]));
  const spread = median(near.map((i) => Math.abs(apart[i] / usual - 1)));
  const deviation = (later) => median(near.map((i) => Math.abs((apart[i] * rates[i + later]) / 60 - 1)));
  return Math.min(deviation(1), deviation(0)) <= Math.min(LARGEST_DEVIATION, SHARE_OF_SPREAD * spread);
}

/** The cadence of the averaged heart rate that beats, s, in order, were made from; 0 for heartbeats. */
export function beatsCadence(beats) {
  if (beats.length < LEAST_BEATS) return 0;
  const intervals = steps(beats);
  const possible = intervals.map((x) => x >= MIN_RR_S && x <= MAX_RR_S);
  const known = steps(intervals).map((_, i) => possible[i] && possible[i + 1]);
  const changes = steps(intervals).map((step) => Math.abs(step) > SAME_S);
  const count = known.filter(Boolean).length;
  if (!count || known.filter((is, i) => is && !changes[i]).length < LEAST_EQUAL * count) return 0;
  const found = runs(changes.map((is, i) => is || !known[i])).map(([first, after]) => [first, after - 1]);
  const middles = found.map(([first, last]) => (beats[first + 1] + beats[last + 1]) / 2);
  const unknown = [0];
  for (const is of known) unknown.push(unknown.at(-1) + (is ? 0 : 1));
  const holds = steps(middles).filter((_, i) => unknown[found[i + 1][1] + 1] === unknown[found[i][0]]);
  return holds.length ? percentile(holds, 25) : beats.at(-1) - beats[0];
}

/** "heartbeats", or "heart rate averaged every 5 s", of a cadence. */
export function inputText(cadence) {
  if (!cadence) return "heartbeats";
  return `heart rate averaged every ${cadence >= 10 ? Math.round(cadence) : Number(cadence.toFixed(1))} s`;
}
