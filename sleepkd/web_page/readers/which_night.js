// Find the nights in days of heart rate; the rules of sleepkd/cohorts/beats/which_night.py.
import { median, modulo, percentile, runs } from "./arrays.js";
import { UserError } from "./user_error.js";

export const WHOLE_S = 16 * 3600;
const LEAST_NIGHT_S = 3 * 3600;
const APART_S = 2 * 3600;
const NIGHTS_APART_S = 14 * 3600;
const POSSIBLE_RATES = [30, 220];
const BIN_S = 300;
const BRIDGED_BINS = 4;
const SMOOTHED_S = 1800;
const CORE_S = 5 * 3600;
const DAY_S = 86400;
const SLEEP_SHARE = 1 / 3;
const LARGEST_STEP = 0.1;
const DAYTIME_PENALTY = 0.1;
const AWAKE_S = 30 * 60;
const CLOCK_NIGHT_H = [22, 8];
const LEAST_BY_CLOCK_S = 3 * 3600;
const FASTEST_NIGHT = 1.25;
const LEAST_COVERED = 0.5;

/**
 * The nights {start, end}, s, of a recording of heart rate, in order of time. times: s, in order. perMinute: 0 and NaN
 * are missing. clock: local time of each value, s since a midnight; null if unknown. Throws if there is none.
 */
export function findNights(times, perMinute, clock = null) {
  const [low, high] = POSSIBLE_RATES;
  const possible = [];
  for (let i = 0; i < times.length; i++) if (perMinute[i] >= low && perMinute[i] <= high) possible.push(i);
  if (!possible.length) throw noNight(times);
  const [first, last] = [times[possible[0]], times[possible.at(-1)]];
  if (last - first <= WHOLE_S) return [{ start: first, end: last }];
  const whole = [];
  const nights = [];
  for (let from = 0, to; from < possible.length; from = to + 1) {
    to = from;
    while (to + 1 < possible.length && times[possible[to + 1]] - times[possible[to]] <= APART_S) to++;
    const part = possible.slice(from, to + 1);
    const wearing = { start: times[part[0]], end: times[part.at(-1)] };
    const shift = clock ? clock[part[0]] - times[part[0]] : null;
    const course = courseOf(
      part.map((i) => times[i]),
      part.map((i) => perMinute[i]),
    );
    if (wearing.end - wearing.start > WHOLE_S) nights.push(...slowParts(wearing, course, shift));
    else if (mayBeANight(wearing, course, shift)) whole.push({ ...wearing, rate: median(course) });
  }
  const slowest = Math.min(...whole.map(({ rate }) => rate));
  const slow = whole.filter(({ rate }) => rate <= FASTEST_NIGHT * slowest).map(({ start, end }) => ({ start, end }));
  const found = [...nights, ...slow].sort((a, b) => a.start - b.start);
  if (!found.length) throw noNight(times);
  return found;
}

function noNight(times) {
  const hours = ((times.at(-1) - times[0]) / 3600).toFixed(0);
  return new UserError(
    `lasts ${hours} h but holds no night: no 3 h of slow heart rate (at night, if its clock is known)`,
  );
}

/** The mean heart rate of every 5 minutes, short gaps interpolated, NaN in longer ones. */
function courseOf(times, perMinute) {
  const bins = Math.floor((times.at(-1) - times[0]) / BIN_S) + 1;
  const [sums, counts] = [new Float64Array(bins), new Float64Array(bins)];
  times.forEach((time, i) => {
    const bin = Math.floor((time - times[0]) / BIN_S);
    sums[bin] += perMinute[i];
    counts[bin]++;
  });
  const course = Array.from(sums, (sum, i) => (counts[i] ? sum / counts[i] : NaN));
  for (const [first, after] of runs(Array.from(counts, (count) => !count))) {
    const gap = after - first + 1;
    for (let i = first; i < after && gap <= BRIDGED_BINS; i++)
      course[i] = course[first - 1] + ((course[after] - course[first - 1]) * (i - first + 1)) / gap;
  }
  return course;
}

/** Whether a wearing of up to 16 h is long enough, has enough values, and lies at night. shift: clock - time, s. */
function mayBeANight({ start, end }, course, shift) {
  const covered = course.filter(Number.isFinite).length / course.length;
  if (end - start < LEAST_NIGHT_S || covered < LEAST_COVERED) return false;
  if (shift === null) return true;
  const atNight = course.filter((_, i) => {
    const hour = modulo(start + shift + BIN_S * i, DAY_S) / 3600;
    return hour >= CLOCK_NIGHT_H[0] || hour < CLOCK_NIGHT_H[1];
  });
  return atNight.length * BIN_S >= LEAST_BY_CLOCK_S;
}

/** The nights of a wearing of more than 16 h: the slowest 5 h of each day, and the slow time around them. */
function slowParts(wearing, course, shift) {
  const bins = (seconds) => Math.round(seconds / BIN_S);
  const [day, halfCore, apart] = [bins(DAY_S), bins(CORE_S / 2), bins(NIGHTS_APART_S)];
  const logs = course.map(Math.log);
  const [core, smooth] = [runningMean(logs, bins(CORE_S)), runningMean(logs, bins(SMOOTHED_S))];
  const order = core.map((x, i) => {
    if (shift === null) return x;
    const clock = wearing.start + shift + BIN_S * i;
    return x + (DAYTIME_PENALTY * (1 - Math.cos(2 * Math.PI * (clock / DAY_S - 3 / 24)))) / 2;
  });
  const found = [];
  for (;;) {
    let middle = -1;
    order.forEach((x, i) => (middle = Number.isFinite(x) && (middle < 0 || x < order[middle]) ? i : middle));
    if (middle < 0) return found;
    order.fill(NaN, Math.max(0, middle - apart), middle + apart);
    const first = Math.max(0, Math.min(middle - Math.floor(day / 2), course.length - day));
    const around = smooth.slice(first, first + day);
    const shown = around.filter(Number.isFinite);
    const between = (percentile(shown, 50 * SLEEP_SHARE) + percentile(shown, 50 * (1 + SLEEP_SHARE))) / 2;
    if (core[middle] >= between) continue;
    const below = around.map((x) => Math.min(LARGEST_STEP, Math.max(-LARGEST_STEP, between - x)) || 0);
    let left = Math.max(0, middle - first - halfCore);
    let right = Math.min(below.length - 1, middle - first + halfCore);
    left -= farthest(below.slice(0, left + 1).reverse());
    right += farthest(below.slice(right)) + 1;
    const [start, end] = [left, right].map((bin) => wearing.start + BIN_S * (first + bin));
    found.push({ start: Math.max(start - AWAKE_S, wearing.start), end: Math.min(end + AWAKE_S, wearing.end) });
  }
}

/** The index of the largest of the sums up to each value. */
function farthest(values) {
  let [total, best, at] = [0, -Infinity, 0];
  values.forEach((x, i) => {
    total += x;
    if (total > best) [best, at] = [total, i];
  });
  return at;
}

/** The mean of the values around each one, NaN where less than half of them are known. */
function runningMean(values, width) {
  const [sums, counts] = [[0], [0]];
  for (const x of values) {
    sums.push(sums.at(-1) + (Number.isFinite(x) ? x : 0));
    counts.push(counts.at(-1) + (Number.isFinite(x) ? 1 : 0));
  }
  const reach = (width - 1) >> 1;
  return values.map((_, i) => {
    const after = Math.min(values.length, i + reach + 1);
    const first = Math.max(0, i + reach - (width - 1));
    const count = counts[after] - counts[first];
    return count >= LEAST_COVERED * width ? (sums[after] - sums[first]) / count : NaN;
  });
}
