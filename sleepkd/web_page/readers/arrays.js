// The functions of NumPy that the readers need, on arrays of numbers.

export const known = (values) => values.filter(Number.isFinite);
export const sum = (values) => values.reduce((a, b) => a + b, 0);
export const steps = (values) =>
  Array.from({ length: Math.max(0, values.length - 1) }, (_, i) => values[i + 1] - values[i]);
export const unique = (values) => Array.from(new Set(Float64Array.from(values).sort()));
export const indices = (mask) => mask.flatMap((is, i) => (is ? [i] : []));

// Math.min(...values) overflows the stack for many values.
export const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
export const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);

/** The median of the finite values; NaN without any. */
export const median = (values) => percentile(known(values), 50);

/** A percentile, interpolated linearly. */
export function percentile(values, percent) {
  if (!values.length) return NaN;
  const sorted = Float64Array.from(values).sort();
  const place = ((sorted.length - 1) * percent) / 100;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

/** How many of the sorted values are below x, or not above it (side "right"). */
export function searchSorted(sorted, x, side = "left") {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (side === "left" ? sorted[middle] < x : sorted[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Linear interpolation at x of rising xs, constant beyond both ends. */
export function interpolate(x, xs, ys) {
  const right = searchSorted(xs, x, "right");
  if (right === 0) return ys[0];
  if (right === xs.length) return ys[xs.length - 1];
  return ys[right - 1] + ((ys[right] - ys[right - 1]) * (x - xs[right - 1])) / (xs[right] - xs[right - 1]);
}

/** The indices that put values in order; equal values keep theirs. */
export const order = (values) => Array.from(values.keys()).sort((a, b) => values[a] - values[b] || a - b);

/** [first, after the last] of each run of true values. */
export function runs(mask) {
  const found = [];
  mask.forEach((is, i) => {
    if (is && !mask[i - 1]) found.push([i, i + 1]);
    else if (is) found.at(-1)[1] = i + 1;
  });
  return found;
}

/** The remainder with the sign of the divisor, as Python's %. */
export const modulo = (a, b) => ((a % b) + b) % b;

/** A number as Python's %g prints it. */
export const short = (x, digits = 6) => String(Number(x.toPrecision(digits)));
