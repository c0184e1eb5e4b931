// Reads and stages files beside the page, which stays usable. Messages in: {files, most}. Messages out: {ready: facts},
// {reading}, {staging, of}, {night}, {problem: {name, reason}}, {done}, {failed}.
import * as ort from "./onnxruntime-web/ort.wasm.bundle.min.mjs";
import { readNights } from "./readers/read_nights.js";
import { UserError } from "./readers/user_error.js";
import { stageBeats } from "./stage.js";
import { sleepStatistics, stageShares } from "./statistics.js";

ort.env.wasm.wasmPaths = new URL("./onnxruntime-web/", import.meta.url).href;
ort.env.wasm.numThreads = 1;

const network = (async () => {
  const response = await fetch("night.onnx.json");
  if (!response.ok) throw new Error("night.onnx and night.onnx.json are missing: sleepkd web writes them");
  return { facts: await response.json(), session: await ort.InferenceSession.create("night.onnx") };
})();
network.then(
  ({ facts }) => postMessage({ ready: facts }),
  (error) => postMessage({ failed: error.message }),
);

let before = network;
onmessage = ({ data }) => (before = before.then(() => stageFiles(data)).catch(() => {})); // one choice after the other

async function stageFiles({ files, most }) {
  for (const file of files) {
    postMessage({ reading: file.name });
    try {
      const nights = await readNights(file, most);
      for (const [i, night] of nights.entries()) {
        postMessage({ staging: file.name, number: i + 1, of: nights.length });
        await attempt(night.of > 1 ? `${file.name}, night ${night.number}` : file.name, () => stage(file.name, night));
      }
    } catch (error) {
      postMessage({ problem: { name: file.name, reason: reasonOf(error) } });
    }
  }
  postMessage({ done: true });
}

async function attempt(name, work) {
  try {
    await work();
  } catch (error) {
    postMessage({ problem: { name, reason: reasonOf(error) } });
  }
}

async function stage(name, night) {
  const { facts, session } = await network;
  const epochs = await stageBeats(ort, session, facts, night.times, night.seconds, night.cadence);
  const stages = epochs.map((epoch) => epoch.stage);
  const { classes } = facts;
  const found = { statistics: sleepStatistics(stages, classes), shares: stageShares(stages, classes) };
  const { times, ...about } = night;
  postMessage({ night: { ...about, ...found, name, epochs } });
}

/** The reason of a refusal; other errors are faults of the page, and say so. */
function reasonOf(error) {
  if (error instanceof UserError) return error.message;
  return `could not be read (${error.message}): a fault of this page, please report it`;
}
