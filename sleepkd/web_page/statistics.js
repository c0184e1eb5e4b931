// Sleep statistics of a staged night by the names and rules of YASA (Hypnogram.sleep_statistics), and the regularity of
// several nights; as sleepkd/prediction/staged.py and regularity.py.
import { runs } from "./readers/arrays.js";
import { EPOCH_SECONDS, UNSCORED } from "./stage.js";

const YASA_NAMES = { W: "WAKE", light: "LIGHT", deep: "DEEP" };
const DAY_S = 86400;
const LATENCY_MIN = 5;
export const DESCRIPTIONS = {
  TIB: "time in bed (length of the hypnogram), min",
  SPT: "sleep period, first to last sleep, min",
  TST: "total sleep time, min",
  WASO: "wake after sleep onset, min",
  SE: "sleep efficiency, TST / TIB, %",
  SME: "sleep maintenance efficiency, TST / SPT, %",
  SFI: "sleep fragmentation index: transitions from sleep to wake per hour of sleep",
  SOL: "sleep onset latency, min",
  SOL_5min: "latency to 5 min of uninterrupted sleep, min",
  Lat_REM: "latency to REM from the start of the hypnogram, min",
  "REM latency": "latency to REM from sleep onset (AASM), min",
};

/** Statistics of stages, minutes and %, NaN where undefined: TIB, SPT, WASO, TST, SE, …, minutes and % of stages. */
export function sleepStatistics(stages, classes) {
  const minutes = (epochs) => (epochs * EPOCH_SECONDS) / 60;
  const isSleep = stages.map((stage) => stage !== "W" && stage !== UNSCORED);
  const first = isSleep.indexOf(true);
  const last = isSleep.lastIndexOf(true);
  const hasSleep = first >= 0;
  const period = hasSleep ? stages.slice(first, last + 1) : [];
  const count = (all, stage) => all.filter((one) => one === stage).length;
  const asleep = isSleep.filter(Boolean).length;
  const wakings = stages.filter((stage, i) => i && stage === "W" && isSleep[i - 1]).length;
  const long = runs(isSleep).find(([start, after]) => minutes(after - start) >= LATENCY_MIN);
  const found = {
    TIB: minutes(stages.length),
    SPT: minutes(period.length),
    WASO: hasSleep ? minutes(count(period, "W")) : NaN,
    TST: minutes(asleep),
    SE: (100 * asleep) / stages.length,
    SME: hasSleep ? (100 * asleep) / period.length : NaN,
    SFI: hasSleep ? wakings / (minutes(asleep) / 60) : NaN,
    SOL: hasSleep ? minutes(first) : NaN,
    SOL_5min: long ? minutes(long[0]) : NaN,
  };
  if (classes.includes("REM")) found.Lat_REM = stages.includes("REM") ? minutes(stages.indexOf("REM")) : NaN;
  for (const stage of classes) found[YASA_NAMES[stage] ?? stage] = minutes(count(stages, stage));
  if (stages.includes(UNSCORED)) found.UNS = minutes(count(stages, UNSCORED));
  for (const stage of classes)
    if (stage !== "W") found[`%${YASA_NAMES[stage] ?? stage}`] = (100 * count(stages, stage)) / asleep; // NaN for 0 / 0
  const rounded = Object.entries(found).map(([name, value]) => [name, Number(value.toFixed(4))]);
  const statistics = Object.fromEntries(rounded);
  if ("Lat_REM" in statistics) statistics["REM latency"] = statistics.Lat_REM - statistics.SOL;
  return statistics;
}

/** The share of each class in the staged sleep epochs, 0 to 1. */
export function stageShares(stages, classes) {
  const staged = stages.filter((stage) => stage !== UNSCORED);
  return Object.fromEntries(
    classes.map((name) => [name, staged.filter((stage) => stage === name).length / staged.length]),
  );
}

/**
 * Sleep Regularity Index {sri, nights, hours} (Phillips et al. 2017) of nights [{start, stages}] of one person; the time
 * between two nights counts as wake if it is shorter than a day. null if no two nights follow each other, if a start
 * (s) is null, or if nights overlap.
 */
export function sleepRegularity(nights) {
  if (nights.length < 2 || nights.some(({ start }) => start === null)) return null;
  const ordered = [...nights].sort((a, b) => a.start - b.start);
  const states = [];
  for (const { start, stages } of ordered) {
    const at = Math.round((start - ordered[0].start) / EPOCH_SECONDS);
    if (at < states.length) return null;
    const filler = at - states.length < DAY_S / EPOCH_SECONDS ? 0 : NaN;
    while (states.length < at) states.push(filler);
    states.push(...stages.map((stage) => (stage === UNSCORED ? NaN : Number(stage !== "W"))));
  }
  const day = DAY_S / EPOCH_SECONDS;
  let [same, compared] = [0, 0];
  for (let i = 0; i + day < states.length; i++) {
    if (Number.isNaN(states[i]) || Number.isNaN(states[i + day])) continue;
    compared++;
    same += Number(states[i] === states[i + day]);
  }
  if (!compared) return null;
  return { sri: (200 * same) / compared - 100, nights: ordered.length, hours: (compared * EPOCH_SECONDS) / 3600 };
}
