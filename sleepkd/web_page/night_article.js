// A staged night on the page: picture, reading line, statistics, downloads.
import { displayOrder, drawNight } from "./drawing.js";
import { make } from "./elements.js";
import { hypnogramCsv, hypnogramEdf, isoText } from "./hypnogram_files.js";
import { inputText } from "./readers/averaged_rate.js";
import { EPOCH_SECONDS, UNSCORED } from "./stage.js";
import { DESCRIPTIONS } from "./statistics.js";
import { clockText, dateText, minutesText, percentText } from "./words.js";

const HALF_HOUR = 60;
const STAGES = { W: "W (awake)", light: "light (N1, N2)", deep: "deep (N3)", NREM: "NREM (N1, N2, N3)" };

/** "Wed, 31 Jan 2024, 23:50", or the name of the file without a date. */
export function nightTitle({ name, number, of, start }) {
  if (start?.dated) return `${dateText(start)}, ${clockText(start, 0)}`;
  return of > 1 ? `${name}, night ${number}` : name;
}

/** The article of a night; its method draw() draws the picture, once it is on the page and when its width changes. */
export function nightArticle(night, classes, id) {
  const article = make("article", { id });
  const heading = make("h2", { id: `${id}-title`, textContent: nightTitle(night) }, article);
  article.setAttribute("aria-labelledby", heading.id);
  make("p", { className: "quiet", textContent: factsOf(night) }, article);
  for (const note of night.notes) make("p", { className: "quiet", textContent: `Note: ${note}.` }, article);
  const figure = make("figure", {}, article);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", pictureText(night, classes));
  figure.append(svg);
  readingLine(night, classes, figure, id);
  const caption =
    "Hypnogram, stage probabilities (hypnodensity), and heart rate in beats per minute. Gaps are unscored.";
  make("figcaption", { textContent: caption }, figure);
  keyStatistics(night, classes, article);
  downloads(night, classes, article);
  allStatistics(night, article);
  article.draw = () => drawNight(svg, night, classes);
  return article;
}

function factsOf({ name, number, of, start, seconds, cadence, device, leftOut, epochs }) {
  const staged = epochs.filter(({ stage }) => stage !== UNSCORED).length;
  const zone = start?.zone ? ` ${start.zone}` : "";
  const until = start ? `${clockText(start, 0)} to ${clockText(start, seconds)}${zone}` : "";
  const others = leftOut.length
    ? `heart rate of ${device || "an unnamed device"}, not of ${leftOut.join(", ")}`
    : device;
  const facts = [of > 1 ? `${name}, night ${number} of ${of}` : name, until, inputText(cadence), others];
  return [...facts, `${percentText((100 * staged) / epochs.length)} of sleep epochs staged`]
    .filter(Boolean)
    .join(" · ");
}

function pictureText({ start, statistics, shares }, classes) {
  const asleep = Number.isFinite(statistics.SOL)
    ? `asleep from ${clockText(start, 60 * statistics.SOL)} to ${clockText(start, 60 * (statistics.SOL + statistics.SPT))}`
    : "no sleep";
  const parts = displayOrder(classes).map((name) => `${name} ${percentText(100 * shares[name])}`);
  return `Hypnogram: ${asleep}; ${parts.join(", ")}`;
}

/** A slider over the night, with what is at its place in words: for keys, touch and screen readers. */
function readingLine({ epochs, start }, classes, figure, id) {
  const label = make("label", { htmlFor: `${id}-time`, textContent: "Read the night at: " }, figure);
  const output = make("output", { htmlFor: `${id}-time` }, label);
  const input = make("input", { type: "range", id: `${id}-time`, min: 0, max: epochs.length - 1, value: 0 }, figure);
  const tell = () => {
    const { onset, stage, probabilities, rate } = epochs[Number(input.value)];
    const confidence = stage === UNSCORED ? "" : ` (${percentText(100 * probabilities[classes.indexOf(stage)])})`;
    const heart = Number.isFinite(rate) ? `, ${rate.toFixed(0)} beats per minute` : "";
    output.textContent = `${clockText(start, onset)} ${stage}${confidence}${heart}`;
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", tell);
  input.addEventListener("keydown", (event) => {
    const step = { PageUp: HALF_HOUR, PageDown: -HALF_HOUR }[event.key];
    if (!step) return;
    event.preventDefault();
    input.value = Number(input.value) + step;
    tell();
  });
  tell();
}

function keyStatistics({ statistics, shares }, classes, article) {
  const shown = {
    "Total sleep time": minutesText(statistics.TST),
    "Sleep efficiency": percentText(statistics.SE),
    "Sleep onset latency": minutesText(statistics.SOL),
    "REM latency from sleep onset": minutesText(statistics["REM latency"]),
    "Wake after sleep onset": minutesText(statistics.WASO),
    "Time in bed": minutesText(statistics.TIB),
  };
  const list = make("dl", {}, article);
  for (const [name, text] of Object.entries(shown)) item(list, name, text);
  const parts = make("dl", { className: "shares" }, article);
  for (const name of displayOrder(classes))
    item(parts, STAGES[name] ?? name, percentText(100 * shares[name]), `stage-${name}`);
}

function item(list, name, text, className = "") {
  const pair = make("div", { className }, list);
  make("dt", { textContent: name }, pair);
  make("dd", { textContent: text }, pair);
}

function downloads({ name, epochs, start }, classes, article) {
  const row = make("p", { className: "row" }, article);
  const stem = `${name.replace(/\.[^.]*$/, "")}${start?.dated ? `-${isoText(start).slice(0, 16).replace(":", "")}` : ""}`;
  const files = [
    ["Hypnogram (CSV)", "csv", "text/csv", hypnogramCsv(epochs, classes)],
    ["Hypnogram (EDF+)", "edf", "application/octet-stream", hypnogramEdf(epochs, start)],
  ];
  for (const [textContent, ending, type, content] of files) {
    const href = URL.createObjectURL(new Blob([content], { type }));
    make("a", { className: "button", textContent, href, download: `${stem}-hypnogram.${ending}` }, row);
  }
}

function allStatistics({ statistics, epochs }, article) {
  const details = make("details", {}, article);
  make("summary", { textContent: "All sleep statistics" }, details);
  const body = make("tbody", {}, make("table", { className: "statistics" }, details));
  for (const [key, value] of Object.entries(statistics)) {
    const row = make("tr", {}, body);
    make("th", { textContent: key, scope: "row" }, row);
    make("td", { textContent: Number.isFinite(value) ? String(Number(value.toFixed(4))) : "–" }, row);
    const about = key.startsWith("%") ? "% of total sleep time" : (DESCRIPTIONS[key] ?? "min");
    make("td", { textContent: about, className: "quiet" }, row);
  }
  const length = `By YASA's names and rules, of ${epochs.length} sleep epochs of ${EPOCH_SECONDS} s.`;
  make("p", { className: "quiet", textContent: length }, details);
}
