// Sleep staging of heartbeats with an exported model; the same steps as sleepkd/data/beats.py and examples/onnx_only.py.

const SHORTEST_S = 0.3, LONGEST_S = 2.0, ECTOPIC = 0.2, NEIGHBOURS = 11;
const SLOW_SECONDS = 25, RELATIVE = 0.1, FAST = 0.05, EPOCH_SECONDS = 30;

const INTERVAL = /^(rr|r-r|ibi|nn|pp)/, TIME = /^(time|t\b|phone timestamp|unix|seconds|beat)/, RATE = /^(hr|heart.?rate|bpm|pulse)/;
const MISSING = /^(na|nan|n\/a|null|none|-)?$/i, DATE = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/;
const GAP_S = 2.5, LONGEST_H = 36;

/**
 * Times of heartbeats, s from the first, from the text of a CSV: RR intervals (ms or s), perhaps with the time at which
 * each ends, or beat times. Throws an Error for other columns and units. The rules of ../reader_cases.json.
 */
export function beatsOf(text) {
  const { names, rows } = tableOf(text);
  const chosen = (pattern) => names.map((name, k) => (pattern.test(name) ? k : -1)).filter((k) => k >= 0);
  let [rr, time] = [chosen(INTERVAL), chosen(TIME)];
  if (rr.length > 1) throw new Error(`several columns of RR intervals: ${rr.map((k) => names[k]).join(", ")}`);
  if (names.length && !rr.length) {
    if (chosen(RATE).length) throw new Error("holds a heart rate, not heartbeats: use sleepkd predict");
    if (!time.length) throw new Error(`no column is named rr or time: ${names.join(", ")}`);
  }
  if (!names.length) {
    const wide = Math.max(...rows.map((row) => row.cells.length)), first = numbers(rows, 0);
    if (wide > 2) throw new Error(`${wide} columns without names: name them time and rr`);
    if (wide === 2 && !rising(first)) throw new Error("two columns without names, the first does not rise: decimal commas? Separate columns by ;");
    [rr, time] = wide === 2 ? [[1], [0]] : rising(first) ? [[], [0]] : [[0], []];
  }
  let beats;
  if (!rr.length) beats = fromFirst(numbers(rows, time[0]));
  else if (!time.length) beats = chain(seconds(numbers(rows, rr[0])));
  else {
    const known = rows.map(({ cells }) => ![rr[0], time[0]].some((k) => MISSING.test(cells[k] ?? "")));
    const full = rows.filter((_, i) => known[i]), afterMissing = known.map((_, i) => i > 0 && !known[i - 1]).filter((_, i) => known[i]);
    beats = placed(seconds(numbers(full, rr[0])), numbers(full, time[0]), afterMissing);
  }
  const hours = beats.at(-1) / 3600;
  if (!(hours <= LONGEST_H)) throw new Error(`lasts ${hours.toFixed(0)} h: give one night, and times in s or ms`);
  return beats;
}

/** Names of columns (small letters; [] without), and rows with their line numbers. */
function tableOf(text) {
  if (text.includes("\0")) throw new Error("is no text in UTF-8");
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|\n|\r/).map((line, k) => ({ line: k + 1, text: line.trim() }));
  const full = lines.filter((line) => line.text && !line.text.startsWith("#"));
  const stated = full[0]?.text.match(/^"?sep=(.)"?$/i);
  if (stated) full.shift();
  if (!full.length) throw new Error("the file is empty");
  const mark = stated ? stated[1] : ["\t", ";", ","].find((one) => full[0].text.includes(one)) ?? ",";
  const rows = full.map(({ line, text }) => {
    const cells = text.split(mark).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1").trim());
    return { line, cells: mark === "," ? cells : cells.map((cell) => cell.replace(/^([-+]?\d*),(\d+)$/, "$1.$2")) };
  });
  const named = rows[0].cells.some((cell) => /[a-z]/i.test(cell) && !MISSING.test(cell) && Number.isNaN(Number(cell)) && !DATE.test(cell));
  const names = named ? rows.shift().cells.map((cell) => cell.toLowerCase()) : [];
  if (!rows.length) throw new Error("the file holds names of columns and nothing else");
  const long = named && rows.find(({ cells }) => cells.slice(names.length).some(Boolean));
  if (long) throw new Error(`line ${long.line}: ${long.cells.length} cells, but ${names.length} columns: decimal commas? Separate columns by ;`);
  return { names, rows };
}

/** A column as numbers; dates as s since 1970. */
function numbers(rows, column) {
  return rows.map(({ line, cells }) => {
    const cell = cells[column] ?? "", value = DATE.test(cell) ? secondsOfDate(cell) : Number(cell || NaN);
    if (!Number.isFinite(value)) throw new Error(`line ${line}: ${cell || "a blank"} is not a number`);
    return value;
  });
}

/** An ISO date and time as s since 1970, as if of UTC without an offset: no clock change falls into the night. */
function secondsOfDate(text) {
  const iso = text.replace(" ", "T").replace(" ", "");
  return Date.parse(/T.*([-+]\d\d:?\d\d|Z)$/.test(iso) ? iso : `${iso}Z`) / 1000;
}

const rising = (values) => values.length > 2 && values.every((x, i) => !i || x > values[i - 1]);

/** RR intervals in s, of s or ms. */
function seconds(intervals) {
  const usual = median(intervals);
  if (!(usual >= 0.2 && usual <= 3) && !(usual >= 200 && usual <= 3000)) throw new Error(`the intervals have a median of ${usual}: no RR intervals in s or ms`);
  return usual > 3 ? intervals.map((x) => x / 1000) : intervals;
}

/** Beat times in s from the first, of s or ms. */
function fromFirst(times) {
  if (!rising(times)) throw new Error("the beat times do not rise");
  const unit = seconds(times.slice(1).map((x, i) => x - times[i]))[0] / (times[1] - times[0]);
  return times.map((x) => (x - times[0]) * unit);
}

/** Beats of RR intervals that follow one another. */
function chain(intervals) {
  const beats = [0];
  for (const x of intervals) beats.push(beats.at(-1) + x);
  return beats;
}

/**
 * Beats of RR intervals (s) that end at times: they follow one another, unless the times show a gap.
 * afterMissing: whether the row before held no interval.
 */
function placed(intervals, times, afterMissing) {
  const back = times.findIndex((x, i) => i && x < times[i - 1]);
  if (back >= 0) throw new Error(`times go back at row ${back + 1} of the data: sort them`);
  const steps = times.map((x, i) => (x - times[i - 1]) / intervals[i]).filter((step) => step > 0);
  const unit = steps.length ? 1000 ** Math.max(0, Math.round(Math.log10(median(steps)) / 3)) : 1; // s, ms, us or ns
  const beats = [];
  for (let first = 0, last; first < intervals.length; first = last + 1) {
    last = first; // of a packet, whose intervals have one time
    while (times[last + 1] === times[first]) last++;
    const packet = intervals.slice(first, last + 1), end = (times[first] - times[0]) / unit, lasts = packet.reduce((a, b) => a + b);
    if (!beats.length || afterMissing[first] || Math.abs(end - (beats.at(-1) + lasts)) > GAP_S) {
      if (beats.length && end - lasts < beats.at(-1)) throw new Error(`the intervals before row ${last + 1} of the data last longer than their times`);
      beats.push(end - lasts);
    }
    for (const x of packet) beats.push(beats.at(-1) + x);
  }
  return beats.map((x) => x - beats[0]);
}

/** Stages of a night: [{onset, stage, probabilities, quality}]; "unscored" is a sleep epoch without usable heartbeats. */
export async function stageBeats(ort, session, facts, beats) {
  const seconds = beats.at(-1);
  if (!(seconds >= 600)) throw new Error(`lasts ${(seconds / 60).toFixed(1)} min, too short: staging needs 10 min`);
  const of = facts.inputs.beats, classes = facts.classes;
  if (!of) throw new Error(`the network reads ${Object.keys(facts.inputs).join(", ")}, not beats: export another`);
  const epochs = Math.floor(seconds / EPOCH_SECONDS + 1e-6), perEpoch = EPOCH_SECONDS / facts.token_seconds;
  const tokens = perEpoch * Math.ceil(seconds / EPOCH_SECONDS - 1e-9), samples = of.samples_per_token * tokens;
  const plausible = plausibleIntervals(beats);
  if (!plausible.includes(true)) throw new Error("holds no plausible RR interval");
  const series = beatSeries(beats, plausible, of.rate, samples);
  const whole = Math.floor(seconds / facts.token_seconds + 1e-6) * of.samples_per_token;
  for (let channel = 0; channel < 3; channel++) series.fill(0, channel * samples + whole, (channel + 1) * samples);
  const feeds = { beats: new ort.Tensor("float32", series, [1, 1, 3, samples]) };
  for (const [name, other] of Object.entries(facts.inputs))
    if (name !== "beats") { // a missing input is zero
      const shape = [1, 1, ...(other.channels > 1 ? [other.channels] : []), other.samples_per_token * tokens];
      feeds[name] = new ort.Tensor("float32", new Float32Array(shape.reduce((a, b) => a * b)), shape);
    }
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
