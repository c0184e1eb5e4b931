// The modules of the page, for pages and programs of your own, in Node as well.
import { beatsOfLines } from "../../sleepkd/web_page/readers/beat_text.js";
import { linesOf } from "../../sleepkd/web_page/readers/text.js";

/** From a network of `sleepkd export`, in a session of onnxruntime, and heartbeats to the stages of a night. */
export { stageBeats } from "../../sleepkd/web_page/stage.js";

/** Times of heartbeats, s from the first, from the text of a file. Throws a UserError of one line. */
export const beatsOf = (text) => beatsOfLines(linesOf(text)).times;
