// Sleep staging of heartbeats with an exported model; the same steps as sleepkd/data/beats.py and examples/onnx_only.py.

const SHORTEST_S = 0.3, LONGEST_S = 2.0, ECTOPIC = 0.2, NEIGHBOURS = 11;
const SLOW_SECONDS = 25, RELATIVE = 0.1, FAST = 0.05, EPOCH_SECONDS = 30;

/** Times of heartbeats, s, from the text of a CSV: RR intervals in ms or s, or beat times (rising numbers). */
export function beatsOf(text) {
  const rows = text.split(/\r?\n/).filter((line) => line.trim() && !line.trim().startsWith("#")).map((line) => line.split(/[,;\t]/));
  if (!rows.length) throw new Error("the file is empty");
  const named = rows[0].some((cell) => Number.isNaN(Number(cell)));
  const names = named ? rows.shift().map((cell) => cell.trim().replaceAll('"', "").toLowerCase()) : [];
  const rr = names.findIndex((name) => /^(rr|ibi|nn|r-r)/.test(name));
  const time = names.findIndex((name) => /^(time|t|beat|seconds)/.test(name));
  if (named && rr < 0 && time < 0) throw new Error(`no column is named rr or time: ${names.join(", ")}`);
  const column = Math.max(0, rr >= 0 ? rr : time);
  const values = rows.map((row) => Number(row[column] || NaN));
  const bad = values.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) throw new Error(`line ${bad + 1 + named}: ${rows[bad][column]} is not a number`);
  const rising = values.length > 2 && values.every((x, i) => !i || x > values[i - 1]);
  const isTimes = rr < 0 && (time >= 0 || rising);
  if (isTimes) {
    if (!rising) throw new Error("the beat times do not rise");
    const unit = median(values.slice(1).map((x, i) => x - values[i])) > 10 ? 1000 : 1;
    return values.map((x) => (x - values[0]) / unit);
  }
  const unit = median(values) > 10 ? 1000 : 1;
  const beats = [0];
  for (const x of values) beats.push(beats.at(-1) + x / unit);
  return beats;
}

/** Stages of a night: [{onset, stage, probabilities, quality}]; "unscored" is a sleep epoch without usable heartbeats. */
export async function stageBeats(ort, session, facts, beats) {
  const seconds = beats.at(-1);
  if (!(seconds >= 600)) throw new Error(`lasts ${(seconds / 60).toFixed(1)} min, too short: staging needs 10 min`);
  const of = facts.inputs.beats, classes = facts.classes;
  const epochs = Math.floor(seconds / EPOCH_SECONDS + 1e-6), perEpoch = EPOCH_SECONDS / facts.token_seconds;
  const tokens = perEpoch * Math.ceil(seconds / EPOCH_SECONDS - 1e-9), samples = of.samples_per_token * tokens;
  const plausible = plausibleIntervals(beats);
  if (!plausible.includes(true)) throw new Error("holds no plausible RR interval");
  const series = beatSeries(beats, plausible, of.rate, samples);
  const whole = Math.floor(seconds / facts.token_seconds + 1e-6) * of.samples_per_token;
  for (let channel = 0; channel < 3; channel++) series.fill(0, channel * samples + whole, (channel + 1) * samples);
  const feeds = { beats: new ort.Tensor("float32", series, [1, 1, 3, samples]) };
  for (const [name, other] of Object.entries(facts.inputs))
    if (name !== "beats") // a missing input is zero
      feeds[name] = new ort.Tensor("float32", new Float32Array(other.samples_per_token * tokens), [1, 1, other.samples_per_token * tokens]);
  const logits = (await session.run(feeds)).logits.data, quality = qualityOf(beats, plausible, epochs);
  return Array.from({ length: epochs }, (_, epoch) => {
    const mean = classes.map((_, k) => {
      let sum = 0;
      for (let token = 0; token < perEpoch; token++) sum += logits[(epoch * perEpoch + token) * classes.length + k];
      return sum / perEpoch / facts.temperature;
    });
    const most = Math.max(...mean), exp = mean.map((x) => Math.exp(x - most)), total = exp.reduce((a, b) => a + b);
    const stage = quality[epoch] < 0.5 ? "unscored" : classes[mean.indexOf(most)];
    return { onset: epoch * EPOCH_SECONDS, stage, probabilities: exp.map((x) => x / total), quality: quality[epoch] };
  });
}

/** Which RR intervals are plausible: 0.3 to 2 s, and within 20 % of the median of the eleven around it. */
function plausibleIntervals(beats) {
  const intervals = beats.slice(1).map((x, i) => x - beats[i]);
  const possible = intervals.map((x) => x >= SHORTEST_S && x <= LONGEST_S), half = (NEIGHBOURS - 1) / 2;
  return intervals.map((x, i) => {
    if (!possible[i]) return false;
    const first = Math.max(0, i - half);
    const around = intervals.slice(first, i + half + 1).filter((_, j) => possible[first + j]);
    const usual = median(around);
    return Math.abs(x - usual) <= ECTOPIC * usual;
  });
}

/** The input (3, samples): log RR interval relative to the night's median, its fast part, and 1 in a plausible interval. */
function beatSeries(beats, plausible, rate, samples) {
  const middles = [], intervals = [];
  for (let i = 0; i < plausible.length; i++)
    if (plausible[i]) {
      middles.push((beats[i] + beats[i + 1]) / 2);
      intervals.push(beats[i + 1] - beats[i]);
    }
  const usual = median(intervals), logs = intervals.map((x) => Math.log(x / usual));
  const half = Math.round((SLOW_SECONDS / 2) * rate), length = samples + 2 * half;
  const relative = new Float64Array(length);
  for (let k = 0, j = 0; k < length; k++) {
    const t = (k - half) / rate;
    while (j < middles.length && middles[j] <= t) j++;
    if (j === 0) relative[k] = logs[0];
    else if (j === middles.length) relative[k] = logs[j - 1];
    else relative[k] = logs[j - 1] + ((logs[j] - logs[j - 1]) * (t - middles[j - 1])) / (middles[j] - middles[j - 1]);
  }
  const sums = new Float64Array(length + 1);
  for (let k = 0; k < length; k++) sums[k + 1] = sums[k] + relative[k];
  const series = new Float32Array(3 * samples);
  for (let k = 0, beat = 0; k < samples; k++) {
    const mean = (sums[k + 2 * half + 1] - sums[k]) / (2 * half + 1);
    series[k] = relative[k + half] / RELATIVE;
    series[samples + k] = (relative[k + half] - mean) / FAST;
    while (beat < beats.length && beats[beat] <= k / rate) beat++;
    series[2 * samples + k] = beat > 0 && beat - 1 < plausible.length && plausible[beat - 1] ? 1 : 0;
  }
  return series;
}

/** The share of each 30 s that lies within a plausible RR interval. */
function qualityOf(beats, plausible, epochs) {
  const quality = new Float64Array(epochs);
  plausible.forEach((good, i) => {
    if (!good) return;
    for (let epoch = Math.floor(beats[i] / EPOCH_SECONDS); epoch < epochs && epoch * EPOCH_SECONDS < beats[i + 1]; epoch++)
      quality[epoch] += (Math.min(beats[i + 1], (epoch + 1) * EPOCH_SECONDS) - Math.max(beats[i], epoch * EPOCH_SECONDS)) / EPOCH_SECONDS;
  });
  return quality;
}

function median(values) {
  const sorted = Float64Array.from(values).sort(), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
