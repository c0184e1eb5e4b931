// Sleep staging of heartbeats with an exported network, on pages of any kind; the same steps as sleepkd predict.
import { beatQuality, beatSeries, CHANNELS, meanRates, plausibleIntervals } from "./beat_series.js";
import { interpolate, searchSorted } from "./readers/arrays.js";
import { UserError } from "./readers/user_error.js";

export const EPOCH_SECONDS = 30;
export const UNSCORED = "unscored";
const LEAST_SECONDS = 600;
const USABLE = 0.5;
const MIN_USABLE_SHARE = 0.2;

/**
 * The stages of a night: [{onset, duration, stage, probabilities, quality, beats, rate}]. "unscored" is a sleep epoch without
 * usable heartbeats.
 *
 * ort, session: onnxruntime-web, and its session of the network. facts: night.onnx.json. beats: s from the start of the
 * night, in order. seconds: its length. cadence: of the averaged heart rate that they were made from, s; 0 for
 * heartbeats. Throws UserError for a night that is too short or has few usable heartbeats.
 */
export async function stageBeats(ort, session, facts, beats, seconds = beats.at(-1), cadence = 0) {
  if (!(seconds >= LEAST_SECONDS))
    throw new UserError(`lasts ${(seconds / 60).toFixed(1)} min, too short: staging needs 10 min`);
  const plausible = plausibleIntervals(beats);
  if (!plausible.includes(true)) throw new UserError("holds no physiologically plausible heartbeats");
  const epochs = Math.floor(seconds / EPOCH_SECONDS + 1e-6);
  const quality = beatQuality(beats, plausible, epochs, EPOCH_SECONDS);
  const usable = quality.filter((share) => share >= USABLE).length;
  if (usable < MIN_USABLE_SHARE * epochs)
    throw new UserError(`only ${usable} of ${epochs} sleep epochs have usable heartbeats; was the sensor loose?`);
  const rates = meanRates(beats, plausible, epochs, EPOCH_SECONDS);
  const { logits } = await session.run(inputsOf(ort, facts, beats, plausible, seconds));
  const bias = biasAt(facts.cadence_bias ?? {}, cadence);
  const perEpoch = EPOCH_SECONDS / facts.token_seconds;
  return Array.from({ length: epochs }, (_, k) => {
    const mean = facts.classes.map((_, one) => {
      let sum = 0;
      for (let token = 0; token < perEpoch; token++)
        sum += logits.data[(k * perEpoch + token) * facts.classes.length + one];
      return (sum / perEpoch + (bias?.[one] ?? 0)) / facts.temperature;
    });
    const most = Math.max(...mean);
    const exp = mean.map((x) => Math.exp(x - most));
    const total = exp.reduce((a, b) => a + b);
    const onset = k * EPOCH_SECONDS;
    return {
      onset,
      duration: EPOCH_SECONDS,
      stage: quality[k] < USABLE ? UNSCORED : facts.classes[mean.indexOf(most)],
      probabilities: exp.map((x) => x / total),
      quality: quality[k],
      beats: searchSorted(beats, onset + EPOCH_SECONDS) - searchSorted(beats, onset),
      rate: rates[k],
    };
  });
}

/** What a network of heartbeats adds to each logit for a heart rate of this cadence; the rules of cadence_bias.py. */
function biasAt(cadenceBias, cadence) {
  const given = Object.keys(cadenceBias).sort((a, b) => a - b);
  if (!given.length || !cadence) return null;
  const known = given.map(Math.log);
  return cadenceBias[given[0]].map((_, k) =>
    interpolate(
      Math.log(cadence),
      known,
      given.map((one) => cadenceBias[one][k]),
    ),
  );
}

/** Tensors by the name of each input: the heartbeats, and zeros for the inputs that are absent. */
function inputsOf(ort, facts, beats, plausible, seconds) {
  const of = facts.inputs.beats;
  if (!of) throw new UserError(`the network reads ${Object.keys(facts.inputs).join(", ")}, not beats: export another`);
  if (of.causal) throw new UserError("the network is causal, which this page does not run: export another");
  const tokens = (EPOCH_SECONDS / facts.token_seconds) * Math.ceil(seconds / EPOCH_SECONDS - 1e-9);
  const samples = of.samples_per_token * tokens;
  const series = beatSeries(beats, plausible, of.rate, samples);
  const whole = Math.floor(seconds / facts.token_seconds + 1e-6) * of.samples_per_token;
  for (let channel = 0; channel < CHANNELS; channel++)
    series.fill(0, channel * samples + whole, (channel + 1) * samples);
  const feeds = { beats: new ort.Tensor("float32", series, [1, 1, CHANNELS, samples]) };
  for (const [name, other] of Object.entries(facts.inputs)) {
    if (name === "beats") continue;
    const shape = [1, 1, ...(other.channels > 1 ? [other.channels] : []), other.samples_per_token * tokens];
    feeds[name] = new ort.Tensor("float32", new Float32Array(shape.reduce((a, b) => a * b)), shape);
  }
  return feeds;
}
