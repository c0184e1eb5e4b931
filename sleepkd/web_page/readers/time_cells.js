// Read a column of dates and times, or of numbers that are times, as seconds; the rules of
// sleepkd/cohorts/beats/time_cells.py. A date is a number of days since 1970, a date and time a number of seconds.
import { least, modulo, most, steps } from "./arrays.js";
import { shortened } from "./sniff_table.js";
import { DAYS, SECONDS_OF, unixUnit } from "./time_units.js";
import { UserError } from "./user_error.js";

const DAY = 86400;
const SPREADSHEET_S = Date.UTC(1899, 11, 30) / 1000;
const ANY_DAY_S = Date.UTC(2000, 0, 1) / 1000;
const MOMENT =
  /^(?:(?<date>\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})[T ,]+)?(?<hour>\d{1,3}):(?<minute>[0-5]\d)(?::(?<second>[0-5]\d(?:[.,:]\d+)?))?(?:\s*(?<half>[AaPp])\.?[Mm]\.?)?\s*(?<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?$/;
const ISO =
  /^(\d{4})(-?)(\d\d)\2(\d\d)[T ](\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?)?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?$/;
const MONTH_NAME = /(?<month>[A-Za-z]{3})[a-z]*\.? (?<day>\d{1,2}),? (?<year>\d{4})/;
const DAY_FIRST_NAME = /(?<day>\d{1,2})[ -](?<month>[A-Za-z]{3})[a-z]*\.?[ -](?<year>\d{4})/;
const MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split(" ");
const DATE_LAST = /^(?<time>\d{1,2}:\S+(?: [AaPp][Mm])?),? (?<date>\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4})$/;

/**
 * Times of rows. seconds: NaN for a blank cell. zero: date and time of 0 s, s since 1970 on the clock of the file, null
 * if it states none; dated: whether its date is known; utc: the clock shows UTC; zoned: it never goes back.
 */
function clockOf(seconds, kind, stated = {}) {
  return { seconds, kind, zero: null, dated: true, utc: false, zoned: false, notes: [], ...stated };
}

/** The start of what begins at a time, s, of such times: {seconds since 1970, dated, zone}; null if unknown. */
export function startAt(clock, seconds) {
  if (clock.zero === null) return null;
  return { seconds: clock.zero + Number(seconds.toFixed(6)), dated: clock.dated, zone: clock.utc ? "UTC" : "" };
}

/** Times that are numbers, in s. numbers, unit: as the file holds them. */
export function numericTimes(seconds, numbers, unit) {
  if (unit === DAYS) return clockOf(seconds, "days of a spreadsheet", { zero: SPREADSHEET_S });
  if (!(unit in SECONDS_OF) || unixUnit(numbers) !== unit) return clockOf(seconds, unit);
  const zero = Math.floor(least(seconds.filter(Number.isFinite))); // numbers near 0 keep their fractions
  const shifted = seconds.map((x) => x - zero);
  return clockOf(shifted, `unix time, ${unit}`, { zero, utc: true, zoned: true });
}

/** A column of dates and times, or of times of day, which may pass midnight. lines: their numbers, for messages. */
export function clockTimes(cells, lines) {
  const held = [...cells.keys()].filter((k) => cells[k]);
  if (!held.length) throw new UserError("its column of times is blank");
  if (!MOMENT.test(cells[held[0]])) cells = cells.map(withDateFirst);
  const dates = datesOf(held.map((k) => cells[k]));
  const moments = held.map((k) => momentOf(cells[k], lines[k], dates));
  const lacking = (name) => lines[held[moments.findIndex((moment) => moment[name] === null)]];
  const some = (name) => moments.some((moment) => moment[name] !== null);
  const all = (name) => moments.every((moment) => moment[name] !== null);
  if (some("zone") && !all("zone"))
    throw new UserError(`line ${lacking("zone")}: its time states no zone (+01:00), as others do`);
  if (some("day") && !all("day")) throw new UserError(`line ${lacking("day")}: its time states no date, as others do`);
  const seconds = Array(cells.length).fill(NaN);
  if (!some("day")) {
    const [times, kind, isTimeOfDay] = timesOfDay(moments);
    held.forEach((k, i) => (seconds[k] = times[i]));
    return clockOf(seconds, kind, { zero: isTimeOfDay ? ANY_DAY_S : null, dated: false });
  }
  const [{ day, zone }] = moments; // seconds of the first row's clock: the start is the time that the file shows
  moments.forEach((moment, i) => {
    seconds[held[i]] = (moment.day - day) * DAY + moment.ofDay - (moment.zone ?? 0) + (zone ?? 0);
  });
  const zoned = some("zone");
  const utc = zoned && moments.every((moment) => moment.zone === 0);
  const kind = `date and time${utc ? ", UTC" : zoned ? " with its zone" : ", no zone"}`;
  return clockOf(seconds, kind, { zero: day * DAY, dated: dates.areKnown, utc, zoned, notes: dates.notes });
}

/** Times without a date, s: times of day pass midnight, elapsed times begin at 0 or pass 24 h. */
function timesOfDay(moments) {
  const ofDay = moments.map((moment) => moment.ofDay);
  if (most(ofDay) >= DAY && !moments.some((moment) => moment.hasSeconds))
    return [ofDay.map((x) => x / 60), "minutes and seconds", false];
  if (most(ofDay) >= DAY || (ofDay[0] < 1 && !moments.some((moment) => moment.is12h)))
    return [ofDay, "elapsed time", false];
  let time = ofDay[0];
  const onward = steps(ofDay).map((step) => (time += modulo(step + DAY / 2, DAY) - DAY / 2));
  return [[ofDay[0], ...onward], "time of day", true];
}

/** A date as 2024-01-31, 31.01.2024 or 31-01-2024, in days since 1970; null for another text, or an ambiguous one. */
export function readDate(text) {
  try {
    const dates = datesOf([`${text.trim()} 0:00`]);
    return dates.areKnown ? (dates.read.get(text.trim()) ?? null) : null;
  } catch {
    return null;
  }
}

function momentOf(text, line, dates) {
  const moment = ofIso(text.trim()) ?? ofOther(text.trim(), dates);
  if (moment) return moment;
  throw new UserError(`line ${line}: '${shortened(text)}' is not a time: give seconds, or 2024-01-31T23:05:00`);
}

function ofIso(text) {
  const found = text.replace(/\s*(UTC|GMT|Z)$|\s+(?=[+-]\d{2}:?\d{2}$)/, (end) => end.trim()).match(ISO);
  if (!found) return null;
  const [, year, , month, date, hour, minute = "0", second = "0", fraction = "0", zone] = found;
  const day = dayOf(Number(year), Number(month), Number(date));
  if (day === null || hour > 23 || minute > 59 || second > 59) return null;
  const ofDay = 3600 * hour + 60 * minute + Number(`${second}.${fraction.slice(0, 6)}`);
  return { day, ofDay, zone: zoneSeconds(zone), is12h: false, hasSeconds: true };
}

function ofOther(text, dates) {
  const found = text.match(MOMENT)?.groups;
  if (!found) return null;
  const day = found.date ? dates.read.get(found.date) : null;
  let hour = Number(found.hour);
  if (day === undefined || (found.half && !(hour >= 1 && hour <= 12))) return null;
  if (found.half) hour = (hour % 12) + (found.half.toLowerCase() === "p" ? 12 : 0);
  if (hour > 23 && day !== null) return null;
  const second = Number((found.second ?? "0").replace(/[,:]/, "."));
  const ofDay = 3600 * hour + 60 * Number(found.minute) + second;
  return { day, ofDay, zone: zoneSeconds(found.zone), is12h: Boolean(found.half), hasSeconds: Boolean(found.second) };
}

/** `Jan 31, 2024 10:40 PM` and `22:40:04 31/01/2024` as a date in numbers before the time; others as they are. */
function withDateFirst(text) {
  for (const pattern of [MONTH_NAME, DAY_FIRST_NAME]) {
    const found = text.match(pattern)?.groups;
    const month = found ? MONTHS.indexOf(found.month.toLowerCase()) + 1 : 0;
    if (!month) continue;
    text = text.replace(pattern, `${found.year}-${String(month).padStart(2, "0")}-${found.day.padStart(2, "0")}`);
    break;
  }
  const swapped = text.trim().match(DATE_LAST)?.groups;
  return swapped ? `${swapped.date} ${swapped.time}` : text;
}

function zoneSeconds(text) {
  if (!text) return null;
  if (/^[A-Z]/.test(text)) return 0;
  const digits = text.slice(1).replace(":", "");
  return (text[0] === "-" ? -1 : 1) * (3600 * Number(digits.slice(0, 2)) + 60 * Number(digits.slice(2) || 0));
}

/**
 * The dates of a column, whose order of day and month is found from all of them: read, from text to day; areKnown is
 * false if 01/02/2024 may be either.
 */
function datesOf(cells) {
  const found = [...new Set(cells.map((cell) => cell.trim().match(MOMENT)?.groups.date).filter(Boolean))];
  const orders = [
    ["year, month, day", (a, b, c) => dayOf(a, b, c)],
    ["day, month, year", (a, b, c) => dayOf(c, b, a)],
    ["month, day, year", (a, b, c) => dayOf(c, a, b)],
  ];
  const fitting = orders.flatMap(([name, order]) => {
    const days = found.map((text) => order(...text.split(/[-/.]/).map(Number)));
    return days.includes(null) ? [] : [{ name, days, span: most(days) - least(days) }];
  });
  if (!found.length) return { read: new Map(), areKnown: true, notes: [] };
  if (!fitting.length) throw new UserError(`'${[...found].sort()[0]}' is not a date: give 2024-01-31`);
  const shortest = least(fitting.map(({ span }) => span));
  const best = fitting.filter(({ span }) => span === shortest);
  const [{ name, days }] = best;
  const areDotted = name === "day, month, year" && found.every((text) => text.includes("."));
  const areKnown = areDotted || best.every((other) => other.days.join() === days.join());
  let notes = name === "year, month, day" ? [] : [`dates are read as ${name}`];
  if (!areKnown) notes = [`the date ${[...found].sort()[0]} may be day or month first, so it is not given`];
  return { read: new Map(found.map((text, i) => [text, days[i]])), areKnown, notes };
}

function dayOf(year, month, day) {
  if (year < 1) return null;
  const full = year < 100 ? year + 2000 : year;
  const date = new Date(Date.UTC(full, month - 1, day));
  const isReal = date.getUTCFullYear() === full && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return isReal ? date.getTime() / 1000 / DAY : null;
}
