// Recognise the unit of numbers; the rules of sleepkd/cohorts/beats/time_units.py.
import { known, least, median, most, short, steps, unique } from "./arrays.js";
import { UserError } from "./user_error.js";

export const DAYS = "days";
export const SECONDS_OF = { s: 1, ms: 1e-3, us: 1e-6, ns: 1e-9, min: 60, "1/1024 s": 1 / 1024 };
const DAY_S = 86400;
const SPREADSHEET_DAYS = [20000, 80000];
export const FILLERS = [0, 65535, 65.535];
const RR_S = [0.2, 3];
const SLEEPING_RR_S = [0.5, 2];
const UNIX = { s: [1e9, 1e11], ms: [1e11, 1e14], us: [1e14, 1e17], ns: [1e17, 1e20] };
const FITTING = [1 / 3, 20];
const DAYS_S = 5e5;

const within = (x, [low, high]) => x >= low && x <= high;

/** An RR interval, or NaN in place of what devices write for none. */
export const withoutFiller = (x) => (FILLERS.includes(x) || x < 0 ? NaN : x);

/** The unit of RR intervals by their median: "s", "ms", or "1/1024 s" as stated. */
export function intervalUnit(values, stated) {
  const typical = median(values);
  if (within(typical, RR_S)) return "s";
  if (within(typical / 1000, RR_S)) return stated === "1/1024 s" ? stated : "ms";
  const breaths = typical >= 4 && typical <= 60 ? "; are they breaths per minute?" : "";
  throw new UserError(
    `its intervals have a median of ${short(typical)}, which is not an RR interval in s or in ms${breaths}`,
  );
}

/** The unit of the times of beats, by their steps or as stated. */
export function beatTimeUnit(times, stated) {
  const step = median(steps(Array.from(Float64Array.from(known(times)).sort())).map(Math.abs));
  if (stated) {
    if (within(step * SECONDS_OF[stated], RR_S)) return stated;
    throw new UserError(`its beats are ${short(step)} ${stated} apart (median), which is not an RR interval`);
  }
  const isWhole = known(times).every(Number.isInteger);
  const units = isWhole ? ["s", "ms", "us", "ns"] : ["s", "ms", "us", "ns", "min"];
  const unit = units.find((name) => within(step * SECONDS_OF[name], SLEEPING_RR_S));
  if (unit) return unit;
  if (within(step * DAY_S, SLEEPING_RR_S)) return DAYS;
  const what = `its times are ${short(step)} apart (median), in no unit the RR interval of a sleeper`;
  throw new UserError(`${what}; name the column time_s or time_ms`);
}

/** The unit of times beside RR intervals, s: the one in which rows are as far apart as their intervals last. */
export function clockUnit(times, intervalsS, stated) {
  const rows = times.map(Number.isFinite);
  const shown = times.filter((_, i) => rows[i]);
  let total = 0;
  const chain = intervalsS.filter((_, i) => rows[i]).map((x) => (total += Number.isFinite(x) ? x : 0));
  const last = [...shown.keys()].filter((i) => shown[i] !== shown[i + 1]); // of the rows with one time
  const lasting = steps(last.map((i) => chain[i]));
  const apart = steps(last.map((i) => shown[i])).map(Math.abs);
  const ratios = apart.map((x, i) => (lasting[i] > 0 && x > 0 ? x / lasting[i] : NaN));
  if (!ratios.some(Number.isFinite)) return stated || "s";
  const ratio = median(ratios);
  const units = { ...SECONDS_OF, [DAYS]: DAY_S };
  if (stated && within(ratio * units[stated], FITTING)) return stated;
  delete units["1/1024 s"];
  const off = (name) => Math.abs(Math.log(ratio * units[name]));
  const unit = Object.keys(units).reduce((a, b) => (off(b) < off(a) ? b : a));
  if (within(ratio * units[unit], FITTING)) return unit;
  const what = `its times are ${short(ratio, 3)} times as far apart as its intervals in s last`;
  throw new UserError(`${what}; name their unit`);
}

/** The unit of the times of heart rates, which lie up to minutes apart, by their size and their steps. */
export function rateTimeUnit(times, stated) {
  const unit = stated || unixUnit(times);
  const shown = known(times);
  const span = most(shown) - least(shown);
  if (stated || (unit && span < DAYS_S / SECONDS_OF[unit])) return unit;
  if (shown.length < 2) return "s";
  const step = median(steps(unique(shown)));
  const isSpreadsheet = within(least(shown), SPREADSHEET_DAYS) && within(most(shown), SPREADSHEET_DAYS);
  if (isSpreadsheet && step > 0 && step < 0.02 && span < 60) return DAYS;
  if (!(step > 50) || span < DAYS_S) return "s";
  return step < 9e5 ? "ms" : step < 9e8 ? "us" : "ns";
}

/** The unit of times since 1970, by their size; "" for other times. */
export function unixUnit(times) {
  const size = median(times);
  return Object.keys(UNIX).find((unit) => size >= UNIX[unit][0] && size < UNIX[unit][1]) ?? "";
}

/** Numbers in a unit of this module, in s. */
export const secondsOf = (values, unit) => values.map((x) => x * (unit === DAYS ? DAY_S : SECONDS_OF[unit]));
