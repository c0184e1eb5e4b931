// Numbers and times in words.

/** Minutes as "7 h 12 min"; "–" for NaN. */
export function minutesText(minutes) {
  if (!Number.isFinite(minutes)) return "–";
  const whole = Math.round(minutes);
  return whole < 60 ? `${whole} min` : `${Math.floor(whole / 60)} h ${whole % 60} min`;
}

export const percentText = (percent) => (Number.isFinite(percent) ? `${percent.toFixed(0)} %` : "–");

/** The time of day, or since the start of the recording, so many seconds after its start. */
export function clockText(start, seconds) {
  const minutes = Math.floor(((start?.seconds ?? 0) + seconds) / 60);
  const hours = Math.floor(minutes / 60);
  return `${String(start ? hours % 24 : hours).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
}

/** A date as "Wed, 31 Jan 2024". */
export function dateText(start) {
  const parts = { weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC" };
  return new Date(start.seconds * 1000).toLocaleDateString("en-GB", parts);
}
