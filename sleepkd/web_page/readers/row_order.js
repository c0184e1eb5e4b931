// Put the rows of a table of heartbeats in order of time; the rules of sleepkd/cohorts/beats/row_order.py.
import { least, median, modulo, most, order, searchSorted, short, steps, unique } from "./arrays.js";
import { UserError } from "./user_error.js";

const JITTER_S = 10;
const JITTER_STEPS = 5;
const MOST_RUNS = 20;
const HOUR = 3600;
const CHANGE_SLACK_S = 120;
const CHANGE_STEPS = 3;
const CHANGE_MONTHS = [3, 4, 9, 10, 11];
const SAME_ROWS = 0.9;
const LEAST_SAME_ROWS = 10;

/**
 * The rows of a table in order of time: {rows (indices), times, notes}. times: s, NaN where a row has none. values: what
 * the row holds, to find copies. clock: as of time_cells.js. Throws for runs of rows that overlap in time and differ.
 */
export function chronological(times, values, lines, clock) {
  let rows = [...times.keys()];
  let filled = filledTimes(times);
  const notes = [];
  let moves = steps(filled);
  if (moves.filter((step) => step < 0).length > moves.filter((step) => step > 0).length) {
    rows.reverse();
    filled.reverse();
    moves = steps(filled);
    notes.push("rows are in descending time");
  }
  const apart = steps(unique(filled));
  const step = apart.length ? median(apart) : 0;
  const slack = Math.max(CHANGE_SLACK_S, CHANGE_STEPS * step);
  const backBy = -Math.max(JITTER_S, JITTER_STEPS * step);
  const back = [...moves.keys()].filter((i) => moves[i] < backBy).map((i) => i + 1);
  if (back.length > MOST_RUNS) {
    const sorted = order(filled);
    const inOrder = (array) => sorted.map((i) => array[i]);
    return { rows: inOrder(rows), times: inOrder(filled), notes: ["rows are in no order: sorted by time"] };
  }
  const table = { times: filled, values: rows.map((row) => values[row]), lines: rows.map((row) => lines[row]) };
  const runs = runsOf(table, back, clock, slack, notes);
  if (runs.some((run, i) => i && filled[run[0]] < filled[runs[i - 1][0]])) {
    runs.sort((a, b) => filled[a[0]] - filled[b[0]]);
    notes.push("parts of the file are exchanged: put in order of time");
  }
  const placed = runs.flat();
  const ordered = placed.map((i) => filled[i]);
  const changed = [...ordered.keys()].find(
    (k) => k && ordered[k] - ordered[k - 1] >= HOUR && isChanged(clock, ordered[k - 1], ordered[k], 1, slack),
  );
  if (changed !== undefined) {
    for (let k = changed; k < ordered.length; k++) ordered[k] -= HOUR;
    notes.push(`the clock was put forward by an hour at line ${lines[rows[placed[changed]]]}: no gap`);
  }
  return { rows: placed.map((i) => rows[i]), times: ordered, notes };
}

/** The runs of rows, without copies; times after a clock that was put back are put on by an hour, in place. */
function runsOf({ times, values, lines }, back, clock, slack, notes) {
  const runs = [];
  const firsts = [0, ...back];
  firsts.forEach((first, k) => {
    let run = Array.from({ length: (firsts[k + 1] ?? times.length) - first }, (_, i) => first + i);
    const overlapped = runs.filter((other) => overlap(times, other, run));
    const copied = Math.max(0, ...overlapped.map((other) => copiedRows(values, times, other, run)));
    const line = lines[first];
    if (copied) {
      notes.push(`${copied} rows from line ${line} on repeat earlier ones: left out`);
      run = run.slice(copied);
    } else if (overlapped.length) {
      const before = times[runs.at(-1).at(-1)];
      const after = times[first];
      if (!isChanged(clock, before, after, -1, slack)) {
        const what = `line ${line}: its times go back by ${short(before - after)} s and overlap earlier ones`;
        const why = "two recordings, people or sources in one file, or a clock that was changed? keep one";
        throw new UserError(`${what}: ${why}`);
      }
      for (let i = first; i < times.length; i++) times[i] += HOUR;
      notes.push(`the clock was put back by an hour at line ${line}: the rows go on without a gap`);
    }
    if (run.length) runs.push(run);
  });
  return runs;
}

/** Whether the clock was put on by so many hours (-1, 1) between two rows, at a full hour. */
function isChanged(clock, before, after, hours, slack) {
  if (clock.zoned || clock.zero === null) return false;
  const late = after - before - hours * HOUR;
  const moment = new Date((clock.zero + before) * 1000);
  const isDay = !clock.dated || (moment.getUTCDay() === 0 && CHANGE_MONTHS.includes(moment.getUTCMonth() + 1));
  return isDay && late >= 0 && late <= slack && modulo(-(clock.zero + before), HOUR) <= Math.max(late, 1);
}

/** Times with those of the row before in place of NaN. */
function filledTimes(times) {
  let last = times.find(Number.isFinite) ?? NaN;
  return Array.from(times, (x) => (last = Number.isFinite(x) ? x : last));
}

function overlap(times, one, other) {
  const of = (run) => run.map((i) => times[i]);
  return least(of(one)) < most(of(other)) && least(of(other)) < most(of(one));
}

/** How many rows at the beginning of a run an earlier run holds in the same order; 0 if it is no copy. */
function copiedRows(values, times, earlier, run) {
  const place = searchSorted(
    earlier.map((i) => times[i]),
    times[run[0]],
  );
  for (let first = Math.max(0, place - 10); first < Math.min(earlier.length, place + 11); first++) {
    const count = Math.min(run.length, earlier.length - first);
    const same = Array.from({ length: count }, (_, i) => values[earlier[first + i]] === values[run[i]]);
    const share = same.filter(Boolean).length / count;
    if (share >= SAME_ROWS && (count >= LEAST_SAME_ROWS || count === run.length) && same[0]) return count;
  }
  return 0;
}
