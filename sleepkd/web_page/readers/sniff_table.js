// Find the table in a text file of a watch, strap or program; the rules of sleepkd/cohorts/beats/sniff_table.py.
import { steps } from "./arrays.js";
import { isUnitRow, namesBeats, roleOf } from "./column_roles.js";
import { UserError } from "./user_error.js";

const MISSING = new Set("|na|n/a|nan|null|none|nil|-|--|#n/a|?|missing|undefined".split("|"));
const DELIMITERS = ["\t", ";", "|", ","];
const SAMPLED_LINES = 500;
const ENOUGH_LINES = 0.6;
const SECOND_TABLE_ROWS = 10;
const UNIX_LEAST = 1e8;
const MOST_NAMES = 12;
const NUMBER = /^[-+]?(\d+(_\d+)*\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
const VALUE = new RegExp(
  "^([-+]?[.,]?\\d[\\d.,eE+\\-]*|[-+]?inf(inity)?|" +
    "(\\d+[-/.]\\d+[-/.]\\d+)?[T ,]*\\d+:\\d[\\d.,:]*\\s*([AP]\\.?M\\.?)?\\s*(UTC|GMT|Z|[+-]\\d\\d:?\\d\\d)?|" +
    "\\d+[-/.]\\d+[-/.]\\d+|\\d{8}T\\d{4,6}\\S*)$",
  "i",
);
const LETTER = /\p{L}/u;
const COMMA_NUMBER = /^[-+]?(\d+),(\d+)$/;

/** The names of columns ([] without), the row of units, rows {line, cells}, and short tables above that are left out. */
export class SniffedTable {
  constructor(names, headerLine, startUnix = null) {
    Object.assign(this, { names, headerLine, startUnix, delimiter: ",", units: [], rows: [], above: [], notes: [] });
  }

  get width() {
    return this.names.length || this.rows.reduce((wide, { cells }) => Math.max(wide, cells.length), 0);
  }

  /** The cells of a column, "" for a missing value. */
  column(index) {
    return this.rows.map(({ cells }) => (MISSING.has((cells[index] ?? "").toLowerCase()) ? "" : cells[index]));
  }

  /** A column as numbers, NaN for a missing value. */
  numbers(index) {
    const found = this.column(index).map(numberOf);
    const wrong = found.findIndex((x) => Math.abs(x) === Infinity);
    if (wrong >= 0) {
      const { line, cells } = this.rows[wrong];
      throw new UserError(`line ${line}: '${shortened(cells[index])}' is not a number`);
    }
    return found;
  }

  /** A column whose cells may list several numbers ("812|790"): an array of each row, NaN for a missing value. */
  numberLists(index) {
    const texts = this.column(index);
    const lists = texts.map((text) => listed(text, this.delimiter));
    if (lists.every((parts) => parts.length === 1)) return this.numbers(index).map((x) => [x]);
    const found = lists.map((parts) => parts.map(numberOf));
    const wrong = found.findIndex((row) => row.some((x) => Math.abs(x) === Infinity));
    if (wrong >= 0) throw new UserError(`line ${this.rows[wrong].line}: '${shortened(texts[wrong])}' is not a number`);
    return found;
  }

  name(index) {
    return this.names.length ? this.names[index] : String(index + 1);
  }

  namesText(chosen = Array.from({ length: this.width }, (_, i) => i)) {
    const more = chosen.length > MOST_NAMES ? ", …" : "";
    return (
      chosen
        .slice(0, MOST_NAMES)
        .map((i) => shortened(this.name(i)))
        .join(", ") + more
    );
  }
}

/** A number with a decimal point or a decimal comma; NaN for "", Infinity for a text that is not a number. */
export function numberOf(text) {
  if (!text) return NaN;
  const plain = text.split(",").length === 2 && !text.includes(".") ? text.replace(",", ".") : text;
  return NUMBER.test(plain.trim()) ? Number(plain.replaceAll("_", "")) : Infinity;
}

function listed(text, delimiter) {
  const bare = text.replace(/^[[\](){} ]+|[[\](){} ]+$/g, "");
  const isPair = delimiter === "," && /^\d{3,4},\d{3,4}$/.test(bare);
  if (!isPair && Math.abs(numberOf(bare)) !== Infinity) return [bare];
  const parts = bare.split(/[|;\s]+|,\s*/).filter(Boolean);
  return parts.length ? parts : [""];
}

/** The table in the lines of a text file; the longest one of several. Throws for no rows, and for two long tables. */
export function sniffTable(lines) {
  const kept = lines.map((text, k) => ({ line: k + 1, text })).filter(({ text }) => holdsData(text));
  let delimiter = "";
  const stated = kept[0]?.text.replace(/^\ufeff/, "").match(/^"?sep=(.)"?[;,]*\s*$/i);
  if (stated) {
    delimiter = stated[1];
    kept.shift();
  }
  if (!kept.length) throw new UserError("is empty");
  delimiter ||= findDelimiter(kept.map(({ text }) => text));
  const tables = tablesOf(kept.map(({ line, text }) => ({ line, cells: splitLine(text, delimiter) })));
  for (const one of tables) one.delimiter = delimiter;
  const table = tables.reduce((a, b) => (b.rows.length > a.rows.length ? b : a));
  table.above = tables.filter((other) => other !== table);
  const long = table.above.find((other) => other.rows.length >= SECOND_TABLE_ROWS);
  dropFooter(table);
  if (long) {
    const both = [table, long].sort((a, b) => a.headerLine - b.headerLine);
    const about = ({ headerLine, width }) => [Math.max(headerLine, 1), Math.min(4, width)];
    const names = both.map((one) => {
      const [line, count] = about(one);
      return `from line ${line} (${one.namesText(Array.from({ length: count }, (_, i) => i))})`;
    });
    throw new UserError(`holds two tables, ${names.join(" and ")}; keep one`);
  }
  checkCommas(table);
  return table;
}

/** Tab, semicolon, |, comma, " " for white space, or "\0" for a single column. */
function findDelimiter(lines) {
  const every = Math.max(1, Math.floor(lines.length / SAMPLED_LINES));
  const sample = lines.filter((_, i) => i % every === 0);
  const named = /\p{L}{2}/u.test(sample[0]) ? DELIMITERS.filter((mark) => sample[0].includes(mark)) : [];
  for (const mark of [...named, ...DELIMITERS]) {
    if (sample.filter((line) => line.includes(mark)).length >= ENOUGH_LINES * sample.length)
      return mark === "," && decimalCommas(sample) ? "\0" : mark;
  }
  const widths = sample.filter((line) => !isValue(line.trim())).map((line) => line.trim().split(/\s+/).length);
  const count = (width) => widths.filter((one) => one === width).length;
  const usual = [...new Set(widths)].reduce((a, b) => (count(b) > count(a) ? b : a), widths[0] ?? 1);
  return usual > 1 && count(usual) >= ENOUGH_LINES * sample.length ? " " : "\0";
}

/** The cells of a line, without white space and quotes around them, and without blank cells at its end. */
function splitLine(line, delimiter) {
  let cells;
  if (delimiter === "\0" && !line.includes('"')) return [line.replace(/^[ \t\xa0']+|[ \t\xa0']+$/g, "")];
  if (delimiter === " ")
    cells = line
      .trim()
      .split(/\s+/)
      .map((cell) => cell.replace(/^["']+|["']+$/g, ""));
  else if (line.includes('"') && delimiter !== "\0")
    cells = quotedCells(line, delimiter).map((cell) => cell.replace(/^[ \t\xa0']+|[ \t\xa0']+$/g, ""));
  else
    cells = (delimiter === "\0" ? [line] : line.split(delimiter)).map((cell) =>
      cell.replace(/^[ \t\xa0'"]+|[ \t\xa0'"]+$/g, ""),
    );
  while (cells.length > 1 && !cells.at(-1)) cells.pop();
  return cells;
}

function quotedCells(line, delimiter) {
  const cells = [""];
  let isQuoted = false;
  for (let i = 0; i < line.length; i++) {
    if (line[i] === '"' && (isQuoted || !cells.at(-1))) {
      if (isQuoted && line[i + 1] === '"') cells[cells.length - 1] += line[i++];
      else isQuoted = !isQuoted;
    } else if (line[i] === delimiter && !isQuoted) cells.push("");
    else cells[cells.length - 1] += line[i];
  }
  return cells;
}

/** Whether a cell is a number, a date or a time. */
const isValue = (cell) => VALUE.test(cell);

const holdsData = (line) => Boolean(line.replace(/[ \t\r\n\v\f,;\ufeff]+/g, "")) && !/^\s*(#|%|\/\/)/.test(line);

/** Rows as tables: the first names begin one, and so do later ones that name a column of heartbeats. */
function tablesOf(rows) {
  const tables = [new SniffedTable([], 0)];
  for (const { line, cells } of rows) {
    const table = tables.at(-1);
    const hasNames = table.names.length > 0;
    if (!areNames(cells, tables.length === 1 && !table.rows.length)) table.rows.push({ line, cells });
    else if (hasNames && !table.rows.length && !table.units.length && isUnitRow(cells)) table.units = cells;
    else if (hasNames && cells.join("\0") === table.names.join("\0"))
      table.notes.push(`line ${line} repeats the names`);
    else if (namesBeats(cells) || !(table.rows.length || table.names.some(roleOf)))
      tables.push(new SniffedTable(cells, line, startUnix(cells)));
    else table.rows.push({ line, cells });
  }
  const full = tables.filter((table) => table.rows.length);
  return full.length ? full : [tables.at(-1)];
}

function areNames(cells, isFirst) {
  if (!LETTER.test(cells.join(""))) return false;
  const texts = cells.filter((cell) => !MISSING.has(cell.toLowerCase()));
  const named = texts.filter((cell) => !isValue(cell));
  if (!named.some((cell) => LETTER.test(cell))) return false;
  return named.length === texts.length || (isFirst && namesBeats(named) && startUnix(texts) !== null);
}

/** The start, s since 1970, beside a name, as Empatica writes it. */
function startUnix(cells) {
  return (
    cells
      .filter(isValue)
      .map(numberOf)
      .find((x) => x >= UNIX_LEAST && x < 1e11) ?? null
  );
}

/** Whether the comma of each line is a decimal comma of a single column, and not between two columns. */
function decimalCommas(sample) {
  const hasName = !COMMA_NUMBER.test(sample[0].trim());
  const found = (hasName ? sample.slice(1) : sample).map((line) => line.match(COMMA_NUMBER));
  if (!found.length || !found.every(Boolean) || (hasName && sample[0].includes(","))) return false;
  if (!hasName) return true;
  const fractions = found.map((match) => match[2]);
  if (fractions.some((text) => text.startsWith("0") && text.length > 1)) return true;
  const inRange = fractions.filter((text) => Number(text) >= 20 && Number(text) <= 250).length / fractions.length;
  const rises = steps(found.map((match) => Number(match[1])));
  return !(inRange > 0.9 && rises.length && rises.filter((step) => step > 0).length / rises.length > 0.9);
}

/** Leave out the lines of text below the last row of several columns. */
function dropFooter(table) {
  while (table.rows.length > 1 && table.width > 1 && table.rows.at(-1).cells.length === 1) {
    const [cell] = table.rows.at(-1).cells;
    if (isValue(cell) || MISSING.has(cell.toLowerCase())) return;
    table.rows.pop();
  }
}

/** Throw where a comma is both the decimal mark and between columns. */
function checkCommas(table) {
  if (table.delimiter !== "," || !table.names.some(roleOf) || !table.rows.length) return;
  const wide = table.rows.filter(({ cells }) => cells.length > table.names.length).length;
  const [{ line, cells }] = table.rows;
  const why = `line ${line} has ${cells.length} cells for ${table.names.length} names: with decimal commas`;
  if (wide > 0.5 * table.rows.length) throw new UserError(`${why}, the columns need a semicolon`);
}

/** A text of a file for a message: at most 40 characters, on one line. */
export function shortened(text) {
  const plain = text.replace(/\p{C}/gu, "?");
  return plain.length <= 40 ? plain : `${plain.slice(0, 39)}…`;
}
