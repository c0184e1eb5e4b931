"""index.html of many nights: a table that sorts and filters, and each night's hypnogram and facts when it is clicked.

One file for any number of nights, which loads nothing from the network.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sleepkd.evaluation.pages import page
from sleepkd.palette import STAGE_COLOURS, display_order
from sleepkd.prediction.many.night_rows import UNSCORED_MARK

MOST_NIGHTS = 20_000
"""More make a page slow: a night takes about 500 bytes of it."""
COLUMNS = {
    "recording": "recording",
    "night": "night",
    "start": "start",
    "status": "status",
    "staged": "sleep epochs staged",
    "TST": "total sleep time, min",
    "SE": "sleep efficiency, %",
    "WASO": "wake after sleep onset, min",
    "SOL": "sleep onset latency, min",
    "mean_confidence": "confidence",
    "mean_quality": "quality",
    "reason": "reason, or warning",
}
"""Columns of the table of nights that the page shows, with their titles; a click shows the others."""
HIDDEN = {"bytes", "changed_ns", "checksum", "weights", "path"}
"""Columns that the page leaves out."""

_STYLE = """
<style>
#filter { font: inherit; width: min(100%, 32rem); padding: .35rem .6rem; }
#nights th, #nights td { padding-right: .6rem; }
th button { all: unset; cursor: pointer; } th button:hover { text-decoration: underline; }
th button:focus-visible, tbody tr:focus-visible { outline: 2px solid; }
#nights td.text { min-width: 0; overflow-wrap: break-word; }
#nights td.start { min-width: 6rem; } th[data-key=reason] { text-align: left; }
td.facts dd { overflow-wrap: anywhere; }
#nights td.recording, #nights td.reason { min-width: 8rem; overflow-wrap: anywhere; }
tbody tr { cursor: pointer; } tbody tr:hover, tr.open { background: #f3f4f6; }
td.facts { white-space: normal; text-align: left; cursor: auto; } td.facts dl { columns: 18rem; margin: .5rem 0; }
td.facts dt { float: left; clear: left; margin-right: .5rem; font-weight: 600; }
svg.night { width: 100%; height: 7rem; }
</style>"""

_SCRIPT = """
<script>
"use strict";
const D = JSON.parse(document.getElementById("data").textContent);
const keys = Object.keys(D.shown), at = Object.fromEntries(D.keys.map((key, i) => [key, i]));
let sorted = null, down = false, most = 100, opened = null;
const make = (tag, text, parent, name) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text ?? "–";
  if (name) element.className = name;
  parent?.append(element);
  return element;
};
// Words that a night must hold, and conditions such as SE<80.
function matches(night, words) {
  return words.every(word => {
    const [, key, sign, number] = word.match(/^(\\w+)(<=|>=|<|>|=)(-?[\\d.]+)$/) ?? [];
    if (key in at) {
      const value = night[at[key]];
      if (value === null || value === "") return false;
      return {"<": value < +number, ">": value > +number, "=": +value === +number,
        "<=": value <= +number, ">=": value >= +number}[sign];
    }
    return night.some(value => value !== null && String(value).toLowerCase().includes(word.toLowerCase()));
  });
}
function chosen() {
  const words = document.getElementById("filter").value.split(/\\s+/).filter(Boolean);
  const nights = D.nights.filter(night => matches(night, words));
  if (sorted === null) return nights;
  const i = at[sorted], sign = down ? -1 : 1;
  return nights.sort((a, b) => {
    const empty = x => x === null || x === "";
    if (empty(a[i]) || empty(b[i])) return empty(a[i]) - empty(b[i]);
    return sign * (a[i] < b[i] ? -1 : a[i] > b[i] ? 1 : 0);
  });
}
function hypnogram(text) {
  const runs = text.split(", ").map(run => [run.slice(0, run.lastIndexOf(" ")), +run.slice(run.lastIndexOf(" ") + 1)]);
  const total = runs.reduce((sum, [, n]) => sum + n, 0), space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "night");
  svg.setAttribute("viewBox", `0 0 ${total} ${D.stages.length}`);
  svg.setAttribute("preserveAspectRatio", "none");
  let x = 0;
  for (const [stage, n] of runs) {
    const y = D.stages.findIndex(([name]) => name === stage);
    if (y >= 0) {
      const bar = document.createElementNS(space, "rect");
      Object.entries({x, y, width: n, height: 0.9, fill: D.stages[y][1]}).forEach(pair => bar.setAttribute(...pair));
      svg.append(bar);
    }
    x += n;
  }
  return svg;
}
function open(night, body, row) {
  document.querySelectorAll("tr.facts").forEach(other => other.remove());
  document.querySelectorAll("tr.open").forEach(other => other.classList.remove("open"));
  if (opened === night) { opened = null; return; }
  opened = night;
  row.classList.add("open");
  const below = make("tr", undefined, null, "facts"), cell = make("td", undefined, below, "facts");
  cell.colSpan = keys.length;
  row.after(below);
  if (at.hypnogram !== undefined && night[at.hypnogram]) {
    const named = D.stages.map(([name]) => name).join(", ");
    make("p", `From top to bottom: ${named}. Gaps are unscored.`, cell, "quiet");
    cell.append(hypnogram(night[at.hypnogram]));
  }
  if (at.folder !== undefined && night[at.folder]) {
    const image = make("img", undefined, cell);
    image.src = encodeURIComponent(night[at.folder]) + "/night.png";
    image.style.maxWidth = "100%";
    image.onerror = () => image.remove();
  }
  const list = make("dl", undefined, cell);
  D.keys.forEach((key, i) => {
    if (key !== "hypnogram" && night[i] !== null) { make("dt", key, list); make("dd", String(night[i]), list); }
  });
}
function draw() {
  const nights = chosen(), body = document.querySelector("#nights tbody");
  body.replaceChildren();
  opened = null;
  for (const night of nights.slice(0, most)) {
    const row = make("tr", undefined, body);
    for (const key of keys) {
      const value = key === "reason" ? night[at.reason] ?? night[at.warning] ?? "" : night[at[key]];
      const text = key === "start" ? value?.replace("T", " ").slice(0, 16) : value;
      make("td", typeof value === "number" && !Number.isInteger(value) ? value.toFixed(D.digits[key] ?? 0) : text, row,
        typeof value === "string" ? `text ${key}` : "");
    }
    row.tabIndex = 0;
    row.onclick = () => open(night, body, row);
    row.onkeydown = event => { if (event.key === "Enter" && event.target === row) open(night, body, row); };
  }
  document.getElementById("count").textContent = `${nights.length} of ${D.nights.length}`;
  document.getElementById("more").hidden = nights.length <= most;
}
const header = make("tr", undefined, document.querySelector("#nights thead"));
for (const key of keys) {
  const cell = make("th", "", header);
  cell.dataset.key = key;
  make("button", D.shown[key], cell).onclick = () => {
    down = sorted === key && !down;
    sorted = key;
    document.querySelectorAll("th[aria-sort]").forEach(other => other.removeAttribute("aria-sort"));
    cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    draw();
  };
}
document.getElementById("filter").oninput = () => { most = 100; draw(); };
document.getElementById("more").onclick = () => { most += 400; draw(); };
draw();
</script>"""


def nights_page(rows: Iterable[Mapping[str, Any]], class_names: Sequence[str], about: Sequence[str]) -> str:
    """The HTML page of rows of the table of nights, at most `MOST_NIGHTS`.

    rows: by column; `folder`, besides, is that of night.png. about: what every output states of the network.
    """
    kept, total = [], 0
    for row in rows:
        total += 1
        if total <= MOST_NIGHTS:
            kept.append(row)
    keys = [key for key in dict.fromkeys(key for row in kept[:1] for key in row) if key not in HIDDEN]
    data = {
        "keys": keys,
        "shown": {key: title for key, title in COLUMNS.items() if key in keys},
        "digits": {"mean_confidence": 2, "mean_quality": 2},
        "stages": [(class_names[k], STAGE_COLOURS[class_names[k]]) for k in display_order(class_names)],
        "unscored": UNSCORED_MARK,
        "nights": [[row.get(key) for key in keys] for row in kept],
    }
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    body = [page.heading("Staged nights", 1), *(page.paragraph(line, "quiet") for line in about)]
    if total > len(kept):
        body.append(page.paragraph(f"The first {len(kept)} of {total} nights; the tables hold all.", "note"))
    body += [
        _STYLE,
        '<p><label for="filter">Filter: words, and conditions such as SE&lt;80 or staged&gt;=600</label><br>'
        '<input id="filter" type="search" autocomplete="off"> <span id="count" class="quiet"></span></p>',
        '<div class="table" tabindex="0"><table id="nights"><thead></thead><tbody></tbody></table></div>',
        '<p><button id="more">more</button></p>',
        f'<script type="application/json" id="data">{text}</script>',
        _SCRIPT,
    ]
    return page.page("Staged nights", body)
