// A staged night as a CSV and as EDF+ annotations, and a table of nights; as sleepkd predict writes them.
import { inputText } from "./readers/averaged_rate.js";
import { UNSCORED } from "./stage.js";

const EDF_STAGES = { W: "W", N1: "1", N2: "2", N3: "3", REM: "R", light: "2", deep: "3", NREM: "2" };
const EDF_YEARS = [1985, 2084];
const MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(" ");
const STATISTICS = "TIB SPT TST WASO SE SME SFI SOL SOL_5min Lat_REM".split(" ");

/** hypnogram.csv: onset, duration, stage, p_<class> …, quality, beats, and the columns of an ECG, blank here. */
export function hypnogramCsv(epochs, classes) {
  const header = ["onset", "duration", "stage", ...classes.map((name) => `p_${name}`), "quality", "beats", "flat"];
  const rows = epochs.map(({ onset, duration, stage, probabilities, quality, beats }) => {
    const shares = probabilities.map((p) => p.toFixed(4));
    return [onset, duration, stage, ...shares, quality.toFixed(3), beats, "", ""];
  });
  return csv([[...header, "clipped"], ...rows]);
}

/** A row for each night {name, number, start, cadence, epochs, statistics, …}, with the columns of `sleepkd predict`. */
export function nightsCsv(nights, classes) {
  const header = ["recording", "night", "nights", "start", "input", "device", "sleep_epochs", "staged"];
  const rows = nights.map((night) => {
    const staged = night.epochs.filter(({ stage }) => stage !== UNSCORED);
    const mean = (values) => (values.reduce((a, b) => a + b, 0) / values.length).toFixed(4);
    const minutes = classes.map((name) => staged.filter(({ stage }) => stage === name).length / 2);
    const number = (x) => (Number.isFinite(x) ? Number(x.toFixed(4)) : "");
    const confidence = mean(staged.map(({ probabilities }) => Math.max(...probabilities)));
    const about = [night.name, night.number, night.of, isoText(night.start), inputText(night.cadence), night.device];
    const counts = [night.epochs.length, staged.length, confidence, mean(night.epochs.map(({ quality }) => quality))];
    const statistics = [...STATISTICS, "REM latency"].map((name) => number(night.statistics[name]));
    return [...about, ...counts, ...statistics, ...minutes];
  });
  const measures = ["mean_confidence", "mean_quality", ...STATISTICS, "REM latency"];
  return csv([[...header, ...measures, ...classes.map((name) => `min_${name}`)], ...rows]);
}

function csv(rows) {
  const cell = (value) => (/[",\n\r]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : value);
  return rows.map((row) => `${row.map(cell).join(",")}\n`).join("");
}

/** 2024-01-31T23:05:00 of a start with a date; "" without. */
export function isoText(start) {
  return start?.dated ? new Date(start.seconds * 1000).toISOString().slice(0, 19) : "";
}

/**
 * hypnogram.edf (Uint8Array): an EDF+ file of annotations "Sleep stage W" …, "Sleep stage ?" for unscored sleep epochs,
 * with the date and time of the start if they are known and EDF+ can hold them.
 */
export function hypnogramEdf(epochs, start) {
  const begin = start ? Math.floor(start.seconds) : 0;
  const offset = start ? Math.round((start.seconds - begin) * 1000) / 1000 : 0; // EDF+ counts from a whole second
  const tals = epochs.map(({ onset, duration, stage }) => {
    const text = `Sleep stage ${EDF_STAGES[stage] ?? "?"}`;
    return `+${Number((onset + offset).toFixed(3))}\x15${duration}\x14${text}\x14\0`;
  });
  const record = `+0\x14\x14\0${tals.join("")}`;
  const samples = Math.ceil(record.length / 2);
  const date = new Date(begin * 1000);
  const two = (x) => String(x).padStart(2, "0");
  const isDated = start?.dated && date.getUTCFullYear() >= EDF_YEARS[0] && date.getUTCFullYear() <= EDF_YEARS[1];
  const day = isDated ? two(date.getUTCDate()) : "01";
  const [month, year] = isDated ? [date.getUTCMonth(), date.getUTCFullYear()] : [0, 1985];
  const time = start ? [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()] : [0, 0, 0];
  const header = [
    ["0", 8],
    ["X X X X", 80],
    [`Startdate ${isDated ? `${day}-${MONTHS[month]}-${year}` : "X"} X X X`, 80],
    [`${day}.${two(month + 1)}.${two(year % 100)}`, 8],
    [time.map(two).join("."), 8],
    [512, 8],
    ["EDF+C", 44],
    [1, 8],
    [0, 8],
    [1, 4],
    ["EDF Annotations", 16],
    ["", 88],
    [-32768, 8],
    [32767, 8],
    [-32768, 8],
    [32767, 8],
    ["", 80],
    [samples, 8],
    ["", 32],
  ];
  const text = header.map(([value, width]) => String(value).padEnd(width)).join("") + record.padEnd(2 * samples, "\0");
  return new TextEncoder().encode(text);
}
