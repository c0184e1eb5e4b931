// The page: takes files, lets the worker read and stage them, and shows each night with its statistics and downloads.
import { displayOrder } from "./drawing.js";
import { nightsCsv } from "./hypnogram_files.js";
import { nightArticle, nightTitle } from "./night_article.js";
import { make } from "./elements.js";
import { minutesText, percentText } from "./words.js";
import { sleepRegularity } from "./statistics.js";

const find = (id) => document.getElementById(id);
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
let classes = [];
let nights = [];
let count = 0; // of nights that were ever shown

worker.onmessage = ({ data }) => {
  const [[kind, value]] = Object.entries(data);
  handlers[kind](value, data);
};
worker.onerror = (event) =>
  say(event.message || "This browser cannot run the page: it needs modules and WebAssembly.", true);

const handlers = {
  ready(facts) {
    classes = facts.classes;
    find("about").textContent = facts.about ?? "";
    if (find("status").textContent.startsWith("Loading")) say("Ready: choose or drop files.");
  },
  reading: (name) => say(`Reading ${name} …`),
  staging(name, { number, of }) {
    say(of > 1 ? `Staging ${name}, night ${number} of ${of} …` : `Staging ${name} …`);
    Object.assign(find("progress"), { hidden: of < 2, max: of, value: number - 1 });
  },
  night(night) {
    const isOther = (other) => other.name !== night.name || other.number !== night.number;
    nights = [...nights.filter(isOther), { ...night, article: nightArticle(night, classes, `night-${++count}`) }];
    const when = ({ start }) => start?.seconds ?? Infinity;
    nights.sort((a, b) => (when(a) === when(b) ? a.name.localeCompare(b.name) : when(a) - when(b)));
    show();
    nights.find(({ article }) => article.id === `night-${count}`).article.draw();
  },
  problem: ({ name, reason }) => make("li", { textContent: `${name}: ${reason}` }, find("problems")),
  done() {
    find("progress").hidden = true;
    const many = nights.length === 1 ? "1 night is" : `${nights.length} nights are`;
    say(nights.length ? `Done: ${many} shown below.` : "No night was staged.", !nights.length);
  },
  failed: (reason) => say(reason, true),
};

function say(text, isBad = false) {
  find("status").textContent = text;
  find("status").classList.toggle("bad", isBad);
}

function take(files) {
  if (!files.length) return;
  find("problems").replaceChildren();
  worker.postMessage({ files: [...files], most: Number(find("most").value) });
}

function show() {
  find("nights").replaceChildren(...nights.map(({ article }) => article));
  find("overview").hidden = nights.length < 2;
  showOverview();
}

const COLUMNS = [
  ["asleep", ({ statistics }) => minutesText(statistics.TST)],
  ["efficiency", ({ statistics }) => percentText(statistics.SE)],
  ["onset latency", ({ statistics }) => minutesText(statistics.SOL), "wide"],
  ["REM latency", ({ statistics }) => minutesText(statistics["REM latency"]), "wide"],
];

function showOverview() {
  const shares = displayOrder(classes)
    .filter((name) => name !== "W")
    .map((name) => [name, ({ shares }) => percentText(100 * shares[name]), "wide"]);
  const columns = [...COLUMNS, ...shares];
  const head = find("overview").querySelector("thead tr");
  head.replaceChildren();
  for (const [title, , name = ""] of [["night"], ...columns])
    make("th", { textContent: title, scope: "col", className: name }, head);
  const body = find("overview").querySelector("tbody");
  body.replaceChildren();
  nights.forEach((night) => {
    const row = make("tr", {}, body);
    make("a", { href: `#${night.article.id}`, textContent: nightTitle(night) }, make("th", { scope: "row" }, row));
    for (const [, text, name = ""] of columns) make("td", { textContent: text(night), className: name }, row);
  });
  const dated = nights.map(({ start, epochs }) => {
    return { start: start?.dated ? start.seconds : null, stages: epochs.map(({ stage }) => stage) };
  });
  const found = sleepRegularity(dated);
  find("regularity").textContent = found
    ? `Sleep Regularity Index: ${found.sri.toFixed(0)} of 100 (${found.nights} nights, ${found.hours.toFixed(0)} hours compared ` +
      "with those a day later). Naps are not seen; of less than a week, the index is of little use."
    : "";
}

find("file").addEventListener("change", ({ target }) => {
  take(target.files);
  target.value = ""; // the same file can be chosen again
});
find("save-all").addEventListener("click", () => {
  const link = make("a", {
    download: "nights.csv",
    href: URL.createObjectURL(new Blob([nightsCsv(nights, classes)], { type: "text/csv" })),
  });
  link.click();
});
find("clear").addEventListener("click", () => {
  nights = [];
  find("problems").replaceChildren();
  show();
  say("Ready: choose or drop files.");
  find("file").focus();
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"])
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    find("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files);
  });
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return; // a phone's address bar changes the height alone
  width = innerWidth;
  for (const { article } of nights) article.draw();
});
