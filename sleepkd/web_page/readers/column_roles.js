// What a column of a table of heartbeats holds, by its name; the rules of sleepkd/cohorts/beats/column_roles.py.

const set = (text) => new Set(text.split(" "));
const INTERVAL = set("rr rri rrs rris ibi ibis nn nni nns nnis bbi bbis pp ppi ppis");
const INTERVAL_PHRASES = ["r r", "beat to beat", "inter beat", "interbeat", "heart period", "heartbeat interval"];
const RATE = set("hr bpm heartrate heartrates pulse pulserate pr herzfrequenz puls");
const RATE_PHRASES = ["heart rate", "beats per", "beats min"];
const BEAT = set("beat beats heartbeat heartbeats peak peaks rpeak rpeaks qrs");
const SAMPLE = set("sample samples rpoint rpoints sampleindex sampleno");
const EXACT_TIME = set("timestamp timestamps datetime isotime unix unixtime epoch utc isodate");
const TIME = new Set([
  ...EXACT_TIME,
  ...set("time times seconds sec secs second s t ms ns elapsed clock start uhrzeit zeit since starttime timems"),
]);
const DATE = set("date day datum");
const PERSON = set("subject participant patient person user userid subjectid participantid pid");
const SOURCE = set("source device sensor sourcename app provider deviceid metric type");
const ABOUT_A_VALUE = set(
  "quality confidence accuracy valid validity flag status error errors count index id zones zone variability hrv " +
    "rmssd sdnn max maximum min minimum resting limit alarm std sd contact artifact artefact annotation speed steps " +
    "timezone offset",
);
const UNITS = {
  ...Object.fromEntries([...set("s sec secs second seconds")].map((name) => [name, "s"])),
  ...Object.fromEntries([...set("ms msec msecs millis millisecond milliseconds")].map((name) => [name, "ms"])),
  ...Object.fromEntries([...set("us µs μs microseconds")].map((name) => [name, "us"])),
  ...Object.fromEntries([...set("ns nanoseconds")].map((name) => [name, "ns"])),
  ...Object.fromEntries([...set("min minutes")].map((name) => [name, "min"])),
  "1/1024": "1/1024 s",
  "1/1024 s": "1/1024 s",
};
const UNIT_CELL =
  /^[[(]?\s*(s|secs?|seconds?|ms|msecs?|milliseconds|[uµμ]s|ns|bpm|beats\/min|1\/min|\/min|count\/min|mv|[uµμ]v|v|%|yyyy.*|dd.*|hh:mm.*|iso.*|unix.*|utc|datetime)\s*[\])]?$/i;
const WORDS = /[A-Z]+(?![a-z])|[A-Z]?[a-zà-ÿµμ]+|\d+/g;

/** A name taken apart: `RR-interval [ms]`, `rr_ms` and `rrMs` are rr, in ms. text: the words without numbers. */
export function columnName(name) {
  const bracket = name.match(/[[(]([^\])]*)[\])]\s*$/);
  let unit = bracket ? unitOf(bracket[1]) : "";
  const bare = bracket?.index ? name.slice(0, bracket.index) : name;
  const words = (bare.match(WORDS) ?? []).map((word) => word.toLowerCase());
  const last = words.at(-1);
  if (!unit && last in UNITS && last !== "min" && (words.length > 1 || words[0].length > 1)) unit = UNITS[last];
  return { words, unit, text: words.filter((word) => !/^\d+$/.test(word)).join(" ") };
}

/** A unit of time: s, ms, us, ns, min or 1/1024 s; "" for any other text. */
export function unitOf(text) {
  const bare = text.replace(/^[ [\]()]+|[ [\]()]+$/g, "").toLowerCase();
  return UNITS[bare.split(/\s+/).filter(Boolean).join(" ")] ?? "";
}

/** What a column of this name holds: interval, rate, value, beat, sample, time, date, person, source, ecg or "". */
export function roleOf(name) {
  const { words } = columnName(name);
  const phrase = words.join(" ");
  const any = (names) => words.some((word) => names.has(word));
  const anyBut = (names, ...left) => words.some((word) => names.has(word) && !left.includes(word));
  const isRate = any(RATE) || RATE_PHRASES.some((text) => phrase.includes(text));
  const isInterval = any(INTERVAL) || INTERVAL_PHRASES.some((text) => phrase.includes(text));
  if (isRate && !(anyBut(ABOUT_A_VALUE, "min", "count") || isInterval || any(EXACT_TIME))) {
    const perMinute = phrase.includes("beats min") || phrase.includes("count min");
    return perMinute || !(words.includes("min") || words.includes("count")) ? "rate" : "";
  }
  if (any(PERSON) || phrase === "id" || phrase === "name") return "person";
  if (any(SOURCE) && !any(TIME) && !anyBut(ABOUT_A_VALUE, "id") && !any(RATE) && !isRate && !isInterval)
    return "source";
  if (any(ABOUT_A_VALUE) && !any(TIME)) return "";
  if (isInterval && !any(EXACT_TIME) && !any(ABOUT_A_VALUE)) return "interval";
  if (any(new Set(["ecg", "ekg"])) && !any(BEAT) && !any(TIME)) return "ecg";
  if ((any(SAMPLE) || phrase === "r point" || phrase === "r points") && !words.includes("rate")) return "sample";
  if (any(TIME) && !any(new Set(["zone", "timezone", "offset", "end"]))) return "time";
  if (any(BEAT)) return "beat";
  if (any(DATE)) return "date";
  return words[0] === "value" ? "value" : "";
}

/** Whether one of these columns holds RR intervals, heart rates or beats. */
export const namesBeats = (names) => names.some((name) => ["interval", "rate", "beat"].includes(roleOf(name)));

/** Whether a row below the names holds units. */
export const isUnitRow = (cells) => cells.some(Boolean) && cells.every((cell) => !cell || UNIT_CELL.test(cell));
