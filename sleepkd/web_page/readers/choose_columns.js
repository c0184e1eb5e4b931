// Choose the columns of a table of heartbeats, by their names or by their numbers; the rules of
// sleepkd/cohorts/beats/choose_columns.py without its options.
import { median, steps } from "./arrays.js";
import { columnName, namesBeats, roleOf, unitOf } from "./column_roles.js";
import { numberOf, shortened } from "./sniff_table.js";
import { clockTimes, numericTimes, readDate } from "./time_cells.js";
import * as units from "./time_units.js";
import { UserError } from "./user_error.js";

const RATES_BY_NUMBERS = [30, 220];
const PLAUSIBLE_RATES = [20, 250];
const BREATHS = [4, 60];
const MOST_PEOPLE = 0.05;
const MONOTONE = 0.9;
const LEAST_RATE_STEP_S = 0.5;

const within = (x, [low, high]) => x >= low && x <= high;
const isBlank = (table, index) => !table.column(index).some(Boolean);
const lineNumbers = (table) => table.rows.map(({ line }) => line);

/**
 * The columns of a table of heartbeats: {content, values, lines, times, notes}. content: "times" of beats, RR
 * "intervals", or a heart "rate". values: an array of each row, s or per minute, NaN for a blank cell. times: as of
 * time_cells.js, or null. Throws where no column holds beats, and for rows of several people or sources.
 */
export function chooseColumns(table) {
  if (!table.rows.length) throw new UserError(`has no row below the names of its columns (${table.namesText()})`);
  const notes = [];
  if (!table.names.length) return { ...ofNumbers(table, notes), notes };
  checkOneNight(table);
  let roles = table.names.map(roleOf);
  if (table.startUnix !== null)
    roles = roles.map((role, i) => (!role && numberOf(table.names[i]) === table.startUnix ? "time" : role));
  const named = (role) => [...roles.keys()].filter((i) => roles[i] === role);
  let intervals = named("interval").filter((i) => !isBlank(table, i));
  const rates = named("rate").filter((i) => !isBlank(table, i));
  if (intervals.length && rates.length && areBreaths(table, intervals[0])) intervals = [];
  if (intervals.length)
    return { ...ofContent(table, roles, oneSeries(table, intervals, notes), "intervals", notes), notes };
  const values = rates.length ? rates : named("value");
  if (values.length) return { ...ofContent(table, roles, [oneRate(table, values, notes)], "rate", notes), notes };
  for (const role of ["beat", "sample", "time", "date"])
    if (named(role).length) return { ...beatTimes(table, roles, named(role)[0], notes), notes };
  throw new UserError(`none of its columns is one of beats: ${table.namesText()}; call it rr, hr or time`);
}

/** Throw for a table of samples, as of an ECG, which has times that could pass for those of beats. */
export function checkHoldsBeats(table) {
  const roles = table.names.map(roleOf);
  const areSamples = table.names.length
    ? roles.includes("ecg") || !(namesBeats(table.names) || roles.includes("sample") || roles.includes("value"))
    : table.width > 1 && !areRates(table);
  if (!areSamples || (table.names.length && table.width === 1 && !roles.includes("ecg"))) return;
  if (table.names.length && !roles.some(Boolean)) return; // chooseColumns names the columns that it misses
  throw new UserError(
    `holds no column of RR intervals, heart rate or beats (${table.namesText()}); ECG samples: sleepkd predict`,
  );
}

/** Whether a table without names holds heart rates or RR intervals at times too far apart for samples. */
function areRates(table) {
  let columns;
  try {
    columns = chooseColumns(table);
  } catch {
    return true; // chooseColumns says what is wrong
  }
  const values = columns.values.map(([x]) => x);
  if (!columns.times || !values.some(Number.isFinite)) return false;
  const step = median(
    steps(columns.times.seconds)
      .map(Math.abs)
      .filter((x) => x > 0),
  );
  if (columns.content !== "rate") return within(step / median(values), [0.5, 2]);
  const positive = values.filter((x) => x > 0);
  return (
    step >= LEAST_RATE_STEP_S && positive.filter((x) => within(x, RATES_BY_NUMBERS)).length > 0.9 * positive.length
  );
}

function checkOneNight(table) {
  table.names.forEach((name, i) => {
    const what = { person: "people", source: "sources" }[roleOf(name)];
    if (!what) return;
    const texts = table.column(i);
    const different = [...new Set(texts.filter(Boolean))].sort();
    if (different.length < 2 || different.length > Math.max(2, MOST_PEOPLE * texts.length)) return;
    const shown = different.slice(0, 4).map(shortened).join(", ");
    throw new UserError(
      `holds ${different.length} ${what} (column ${shortened(name)}: ${shown}); give the rows of one`,
    );
  });
}

const areBreaths = (table, index) => within(median(table.numbers(index).map(units.withoutFiller)), BREATHS);

const statedUnit = (table, index) => unitOf(table.units[index] ?? "") || columnName(table.name(index)).unit;

/** The columns of one series of RR intervals: rr1 … rr5 of each row, or the first of several that agree. */
function oneSeries(table, found, notes) {
  if (found.length < 2) return found;
  const names = found.map((i) => columnName(table.name(i)));
  const isOne = new Set(names.map(({ text }) => text)).size === 1;
  if (isOne && new Set(names.map(({ words }) => words.join(" "))).size === names.length) return found;
  const medians = found.map((i) => median(table.numbers(i).map(units.withoutFiller)));
  const [low, high] = [Math.min(...medians), Math.max(...medians)];
  if (!(high <= 1.05 * low || within(high / low, [950, 1050])))
    throw new UserError(`has several columns of RR intervals (${table.namesText(found)}); keep the one to read`);
  notes.push(`of several columns of RR intervals, ${shortened(table.name(found[0]))} is read`);
  return found.slice(0, 1);
}

/** The first of several columns of heart rates that agree. */
function oneRate(table, found, notes) {
  const first = table.numbers(found[0]);
  for (const other of found.slice(1)) {
    const differ = table.numbers(other).map((x, i) => Math.abs(x - first[i]));
    if (!(median(differ) <= 5))
      throw new UserError(`has several columns of heart rates (${table.namesText(found)}); keep the one to read`);
  }
  if (found.length > 1) notes.push(`of several columns of heart rates, ${shortened(table.name(found[0]))} is read`);
  return found[0];
}

function ofContent(table, roles, found, content, notes) {
  const columns = found.map((i) => (content === "intervals" ? table.numberLists(i) : table.numbers(i).map((x) => [x])));
  const widths = columns.map((column) => column.reduce((wide, cells) => Math.max(wide, cells.length), 1));
  const padded = (cells, width) => [...cells, ...Array(width - cells.length).fill(NaN)];
  const numbers = table.rows.map((_, row) => columns.flatMap((column, k) => padded(column[row], widths[k])));
  const other = (role) => {
    const at = [...roles.keys()].find((i) => roles[i] === role && !found.includes(i) && !isBlank(table, i));
    return at ?? null;
  };
  const [time, day] = [other("time"), other("date")];
  if (content === "intervals") return intervalColumns(table, found, numbers, time, day, notes);
  return rateColumns(table, found[0], numbers, time, day, notes);
}

/** RR intervals, s, with the clock of their rows if there is one. */
function intervalColumns(table, found, numbers, time, day, notes) {
  const isWide = numbers[0].length > 1;
  const hasClock = time !== null || day !== null;
  let lines = lineNumbers(table);
  if (isWide || hasClock) numbers = numbers.map((row) => row.map(units.withoutFiller));
  else {
    const isFiller = numbers.map(([x]) => units.FILLERS.includes(x) || x < 0);
    const count = isFiller.filter(Boolean).length;
    if (count) notes.push(`${count} values that stand for no RR interval (0, 65535) are left out`);
    lines = lines.filter((_, i) => !isFiller[i]);
    numbers = numbers.filter((_, i) => !isFiller[i]);
  }
  const stated = found.map((i) => statedUnit(table, i)).find(Boolean) ?? "";
  const unit = units.intervalUnit(numbers.flat(), stated);
  const values = numbers.map((row) => units.secondsOf(row, unit));
  if (!hasClock || !values.some((row) => row.some(Number.isFinite)))
    return { content: "intervals", values, lines, times: null };
  const lasting = values.map((row) => row.reduce((total, x) => total + (Number.isFinite(x) ? x : 0), 0));
  return { content: "intervals", values, lines, times: clockOfRows(table, time, day, lasting, notes) };
}

function rateColumns(table, found, numbers, time, day, notes) {
  const positive = numbers.map(([x]) => x).filter((x) => x > 0);
  if (positive.length && !within(median(positive), PLAUSIBLE_RATES)) {
    const what = `its ${shortened(table.name(found))} has a median of ${median(positive)}`;
    throw new UserError(`${what}, which is not a heart rate per minute`);
  }
  if (time === null && day === null)
    throw new UserError(`has a heart rate but no column of times (${table.namesText()})`);
  const times = clockOfRows(table, time, day, null, notes);
  return { content: "rate", values: numbers, lines: lineNumbers(table), times };
}

/** Times of beats: numbers, or dates and times. */
function beatTimes(table, roles, index, notes) {
  const texts = table.column(index);
  let times;
  if (areNumbers(texts)) {
    const numbers = table.numbers(index);
    const count = (value) => numbers.filter((x) => x === value).length;
    if (count(1) > 1 && count(0) && count(0) + count(1) === numbers.length)
      throw new UserError(`column ${table.name(index)} is 1 at each beat and else 0: give the times of the beats`);
    const unit = units.unixUnit(numbers) || units.beatTimeUnit(numbers, statedUnit(table, index));
    times = numericTimes(units.secondsOf(numbers, unit), numbers, unit);
    if (table.startUnix !== null) times = fromUnix(times, table.startUnix);
  } else {
    const day = [...roles.keys()].find((i) => roles[i] === "date" && i !== index) ?? null;
    times = clockOfRows(table, index, day, null, notes);
  }
  return { content: "times", values: times.seconds.map((x) => [x]), lines: lineNumbers(table), times };
}

/** The times of the rows. lasting: sum of a row's RR intervals, s; null for heart rates. */
function clockOfRows(table, time, day, lasting, notes) {
  const index = time ?? day;
  let texts = table.column(index);
  let clock;
  if (areNumbers(texts)) {
    const numbers = table.numbers(index);
    const stated = statedUnit(table, index);
    const unit = lasting ? units.clockUnit(numbers, lasting, stated) : units.rateTimeUnit(numbers, stated);
    clock = numericTimes(units.secondsOf(numbers, unit), numbers, unit);
  } else {
    if (time !== null && day !== null && !/\d[-/.]\d+[-/.]\d/.test(texts.find(Boolean))) {
      const days = table.column(day);
      const plain = (date) => date.split("T")[0].trim().split(/\s+/)[0];
      texts = texts.map((ofDay, i) => (days[i] && ofDay ? `${plain(days[i])} ${ofDay}` : ""));
    }
    clock = clockTimes(texts, lineNumbers(table));
  }
  if (table.startUnix !== null) clock = fromUnix(clock, table.startUnix);
  else if (clock.zero === null) clock = fromAbove(table, clock);
  notes.push(...clock.notes);
  return clock;
}

const fromUnix = (clock, startUnix) => ({ ...clock, zero: startUnix, utc: true, zoned: true, dated: true });

/** Elapsed times, with the date and start time that a table above the rows states (Polar Flow). */
function fromAbove(table, clock) {
  for (const { names, rows } of table.above) {
    const cells = Object.fromEntries(names.map((name, i) => [name.toLowerCase(), rows[0]?.cells[i] ?? ""]));
    const day = readDate(cells.date ?? "");
    const [hour, minute, second = 0] =
      (cells["start time"] ?? "").match(/^\d{1,2}:\d\d(:\d\d)?$/)?.[0].split(":") ?? [];
    if (day === null || hour === undefined || hour > 23 || minute > 59 || second > 59) continue;
    const zero = day * 86400 + hour * 3600 + minute * 60 + Number(second);
    return { ...clock, zero, dated: true, zoned: true };
  }
  return clock;
}

/** Columns without names: rising numbers are times, others are intervals; of two columns the first holds times. */
function ofNumbers(table, notes) {
  const texts = table.column(0);
  if (table.width === 1) {
    if (!areNumbers(texts)) return beatTimes(table, [""], 0, notes);
    const first = table.numbers(0);
    if (isEmpaticaRate(first)) return empaticaRate(table, first);
    if (isRising(first, true)) return beatTimes(table, [""], 0, notes);
    return intervalColumns(
      table,
      [0],
      first.map((x) => [x]),
      null,
      null,
      notes,
    );
  }
  if (areNumbers(texts) && !isRising(table.numbers(0)))
    throw new UserError("its first column does not rise, so it holds no times; give the columns names");
  const isDay = /^\d+[-/.]\d+[-/.]\d+$/.test(texts[0]) && table.width > 2; // 2024-01-31 23:40:00 700, split at spaces
  const [value, time, day] = isDay ? [2, 1, 0] : [1, 0, null];
  const values = table.numbers(value);
  const rows = values.map((x) => [x]);
  if (within(median(values.filter((x) => x > 0)), RATES_BY_NUMBERS))
    return rateColumns(table, value, rows, time, day, notes);
  return intervalColumns(table, [value], rows, time, day, notes);
}

/** HR.csv of an Empatica E4: the start in unix s, samples per second, then heart rates. */
function isEmpaticaRate(numbers) {
  const [start, rate, ...rates] = numbers;
  return rates.length > 1 && start >= 1e9 && start < 1e11 && rate > 0 && rate <= 64 && median(rates) < 250;
}

function empaticaRate(table, [start, rate, ...rates]) {
  const kind = `a row every ${1 / rate} s`;
  const clock = { seconds: rates.map((_, i) => i / rate), kind, notes: [] };
  const values = rates.map((x) => [x]);
  return { content: "rate", values, lines: lineNumbers(table).slice(2), times: fromUnix(clock, start) };
}

function isRising(numbers, isStrict = false) {
  const moves = steps(numbers.filter(Number.isFinite));
  if (moves.length < 2) return false;
  if (isStrict) return moves.every((step) => step > 0);
  const up = moves.filter((step) => step > 0).length;
  const down = moves.filter((step) => step < 0).length;
  return up + down > 0 && Math.max(up, down) / (up + down) >= MONOTONE;
}

/** Whether most cells are numbers: the others are errors then, and no dates. */
const areNumbers = (texts) =>
  2 * texts.filter((text) => Math.abs(numberOf(text)) === Infinity).length < Math.max(1, texts.length);
