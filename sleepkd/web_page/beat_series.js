// Heartbeats as the series that a network reads, and their quality; the rules of sleepkd/data/beats.py.
import { interpolate, median, steps } from "./readers/arrays.js";

const [MIN_RR_S, MAX_RR_S] = [0.3, 2];
const ECTOPIC = 0.2;
const NEIGHBOURS = 11;
const SLOW_SECONDS = 25;
const [RELATIVE, FAST] = [0.1, 0.05];
export const CHANNELS = 3;

/** Which RR intervals are plausible: 0.3 to 2 s, and within 20 % of the median of the eleven around it. */
export function plausibleIntervals(beats) {
  const intervals = steps(beats).map((x) => (x >= MIN_RR_S && x <= MAX_RR_S ? x : NaN));
  const half = (NEIGHBOURS - 1) / 2;
  return intervals.map((x, i) => {
    const usual = median(intervals.slice(Math.max(0, i - half), i + half + 1));
    return Math.abs(x - usual) <= ECTOPIC * usual;
  });
}

/** The input, Float32Array of (3, samples): log RR interval over the night's median, its fast part, and quality. */
export function beatSeries(beats, plausible, rate, samples) {
  const kept = [...plausible.keys()].filter((i) => plausible[i]);
  const middles = kept.map((i) => (beats[i] + beats[i + 1]) / 2);
  const intervals = kept.map((i) => beats[i + 1] - beats[i]);
  const usual = median(intervals);
  const logs = intervals.map((x) => Math.log(x / usual));
  const half = Math.round((SLOW_SECONDS / 2) * rate);
  const length = samples + 2 * half;
  const relative = Float64Array.from({ length }, (_, k) => interpolate((k - half) / rate, middles, logs));
  const sums = new Float64Array(length + 1);
  for (let k = 0; k < length; k++) sums[k + 1] = sums[k] + relative[k];
  const series = new Float32Array(CHANNELS * samples);
  for (let k = 0, beat = 0; k < samples; k++) {
    const mean = (sums[k + 2 * half + 1] - sums[k]) / (2 * half + 1);
    series[k] = relative[k + half] / RELATIVE;
    series[samples + k] = (relative[k + half] - mean) / FAST;
    while (beat < beats.length && beats[beat] <= k / rate) beat++;
    series[2 * samples + k] = beat > 0 && plausible[beat - 1] ? 1 : 0;
  }
  return series;
}

/** The share of each sleep epoch that lies within a plausible RR interval. */
export function beatQuality(beats, plausible, epochs, epochSeconds) {
  const quality = new Float64Array(epochs);
  plausible.forEach((is, i) => {
    if (!is) return;
    for (let k = Math.floor(beats[i] / epochSeconds); k < epochs && k * epochSeconds < beats[i + 1]; k++) {
      const inside = Math.min(beats[i + 1], (k + 1) * epochSeconds) - Math.max(beats[i], k * epochSeconds);
      quality[k] += inside / epochSeconds;
    }
  });
  return quality;
}

/** The mean heart rate of each sleep epoch, beats per minute, of its plausible RR intervals; NaN without any. */
export function meanRates(beats, plausible, epochs, epochSeconds) {
  const [counts, seconds] = [new Float64Array(epochs), new Float64Array(epochs)];
  plausible.forEach((is, i) => {
    const epoch = Math.floor((beats[i] + beats[i + 1]) / 2 / epochSeconds);
    if (!is || epoch >= epochs) return;
    counts[epoch]++;
    seconds[epoch] += beats[i + 1] - beats[i];
  });
  return counts.map((count, k) => (60 * count) / seconds[k]);
}
