// The picture of a staged night: hypnogram, hypnodensity (stage probabilities) and heart rate over the night.
import { runs } from "./readers/arrays.js";
import { EPOCH_SECONDS, UNSCORED } from "./stage.js";

const ORDER = ["W", "REM", "N1", "light", "N2", "NREM", "N3", "deep"];
const [LEFT, RIGHT, TOP, HYPNOGRAM, BETWEEN, DENSITY, RATE, AXIS] = [48, 8, 10, 120, 22, 90, 70, 22];
const HOUR = 3600;

/** Classes from top to bottom of a hypnogram: W, REM, then NREM by depth. */
export const displayOrder = (classes) => [...classes].sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));

/** Draw a night into an SVG element of its width. */
export function drawNight(svg, { epochs, start }, classes) {
  const width = svg.clientWidth || 600;
  const density = TOP + HYPNOGRAM + BETWEEN;
  const rate = density + DENSITY + BETWEEN;
  const height = rate + RATE + AXIS;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.replaceChildren();
  const x = (epoch) => LEFT + ((width - LEFT - RIGHT) * epoch) / epochs.length;
  drawHours(svg, x, epochs.length, start, width, height - AXIS);
  drawHypnogram(svg, x, epochs, displayOrder(classes));
  drawDensity(svg, x, epochs, classes, density);
  drawRate(svg, x, epochs, rate);
}

function add(parent, tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
}

/** Vertical lines and labels at full hours of the clock, or of the recording. */
function drawHours(svg, x, count, start, width, floor) {
  const first = start ? start.seconds : 0;
  const hours = (count * EPOCH_SECONDS) / HOUR;
  const every = [1, 2, 3, 4, 6].find((step) => (hours / step) * 48 < width - LEFT) ?? 12;
  for (let hour = Math.ceil(first / HOUR); hour * HOUR <= first + hours * HOUR; hour++) {
    const at = x((hour * HOUR - first) / EPOCH_SECONDS);
    add(svg, "line", { x1: at, x2: at, y1: TOP, y2: floor, stroke: "#E4E9ED" });
    const text = start ? `${String(hour % 24).padStart(2, "0")}:00` : `${hour} h`;
    if (hour % every === 0 && at > LEFT - 1 && at < width - 18)
      add(svg, "text", { x: at, y: floor + 16, "text-anchor": "middle" }, text);
  }
}

function drawHypnogram(svg, x, epochs, order) {
  const y = (stage) => TOP + 8 + ((HYPNOGRAM - 16) * order.indexOf(stage)) / (order.length - 1);
  for (const stage of order)
    add(svg, "text", { x: LEFT - 8, y: y(stage), "text-anchor": "end", "dominant-baseline": "middle" }, stage);
  let path = "";
  epochs.forEach(({ stage }, i) => {
    const before = epochs[i - 1]?.stage;
    const isStep = i > 0 && stage !== before && stage !== UNSCORED && before !== UNSCORED;
    if (isStep) path += `M${x(i).toFixed(1)} ${y(before)}V${y(stage)}`;
  });
  add(svg, "path", { d: path, stroke: "#8A969F", fill: "none" });
  for (const stage of order)
    for (const [first, after] of runs(epochs.map((epoch) => epoch.stage === stage))) {
      const bar = { x: x(first), y: y(stage) - 4, width: Math.max(1, x(after) - x(first)), height: 8 };
      add(svg, "rect", { ...bar, class: `filled stage-${stage}` });
    }
}

function drawDensity(svg, x, epochs, classes, top) {
  add(svg, "text", { x: LEFT - 8, y: top + 6, "text-anchor": "end", "dominant-baseline": "middle" }, "100 %");
  add(svg, "text", { x: LEFT - 8, y: top + DENSITY - 4, "text-anchor": "end", "dominant-baseline": "middle" }, "0");
  const scored = runs(epochs.map(({ stage }) => stage !== UNSCORED));
  const below = epochs.map(() => 0); // how much of the height the stages before take
  for (const stage of displayOrder(classes)) {
    const k = classes.indexOf(stage);
    const upper = epochs.map((_, i) => top + DENSITY * below[i]);
    epochs.forEach(({ probabilities }, i) => (below[i] += probabilities[k]));
    const lower = epochs.map((_, i) => top + DENSITY * below[i]);
    const line = (ys, first, after) =>
      ys.slice(first, after).map((y, i) => `${x(first + i).toFixed(1)} ${y.toFixed(1)}H${x(first + i + 1).toFixed(1)}`);
    let path = "";
    for (const [first, after] of scored) {
      const back = lower.slice(first, after).map((y, i) => `V${y.toFixed(1)}H${x(first + i).toFixed(1)}`);
      path += `M${line(upper, first, after).join("L")}${back.reverse().join("")}Z`;
    }
    add(svg, "path", { d: path, class: `filled stage-${stage}` });
  }
}

/** The mean heart rate of every sleep epoch. */
function drawRate(svg, x, epochs, top) {
  const rates = epochs.map(({ rate }) => rate);
  const shown = rates.filter(Number.isFinite);
  if (!shown.length) return;
  const low = 10 * Math.floor(Math.min(...shown) / 10);
  const high = Math.max(low + 20, 10 * Math.ceil(Math.max(...shown) / 10));
  const y = (rate) => top + RATE - (RATE * (rate - low)) / (high - low);
  for (const rate of [low, high])
    add(svg, "text", { x: LEFT - 8, y: y(rate), "text-anchor": "end", "dominant-baseline": "middle" }, rate);
  let path = "";
  rates.forEach((rate, i) => {
    if (Number.isFinite(rate))
      path += `${Number.isFinite(rates[i - 1]) ? "L" : "M"}${x(i + 0.5).toFixed(1)} ${y(rate).toFixed(1)}`;
  });
  add(svg, "path", { d: path, stroke: "#22303C", fill: "none" });
}
