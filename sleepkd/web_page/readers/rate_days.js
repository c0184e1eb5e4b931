// The heart rate of a watch over days or years, and the heartbeats of each night of it; the rules of
// sleepkd/cohorts/beats/rate_days.py.
import { searchSorted } from "./arrays.js";
import { beatsOfRate, rateCadence } from "./averaged_rate.js";
import { orderedBeats } from "./beat_text.js";
import { UserError } from "./user_error.js";
import { findNights } from "./which_night.js";

const AS_MUCH = 0.95;

/** Heart rates in order of time. times: s. local: unix s of the local time. source: index into sources. */
export class RateDays {
  constructor({ times, perMinute, local, source, sources, longestGap }) {
    Object.assign(this, { times, perMinute, local, source, sources, longestGap });
  }

  /** The nights {start, end}, s, in order of time. */
  spans() {
    return findNights(this.times, this.perMinute, this.local);
  }

  /** The heartbeats of a night, of the source that covers most of it, s from its first value. */
  night({ start, end }) {
    const [first, after] = [searchSorted(this.times, start), searchSorted(this.times, end, "right")];
    const rows = Array.from({ length: after - first }, (_, i) => first + i);
    const ofSource = new Map();
    for (const row of rows) {
      if (!ofSource.has(this.source[row])) ofSource.set(this.source[row], []);
      ofSource.get(this.source[row]).push(row);
    }
    const covered = (kept) =>
      kept.reduce((total, row, i) => {
        const step = i ? this.times[row] - this.times[kept[i - 1]] : 0;
        return step <= this.longestGap ? total + step : total;
      }, 0);
    const most = Math.max(...[...ofSource.values()].map(covered));
    const sources = [...ofSource.keys()].sort((a, b) => a - b);
    const enough = sources.filter((k) => covered(ofSource.get(k)) >= AS_MUCH * most);
    const best = enough.reduce((a, b) => (ofSource.get(b).length > ofSource.get(a).length ? b : a));
    const kept = ofSource.get(best);
    const times = kept.map((row) => this.times[row] - this.times[kept[0]]);
    const rates = kept.map((row) => this.perMinute[row]);
    const beats = beatsOfRate(times, rates, this.longestGap);
    const clock = { seconds: this.local[kept[0]], dated: true, zone: "" };
    if (beats.length < 2) {
      const when = new Date(clock.seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
      throw new UserError(`holds no heartbeats in the night from ${when}`);
    }
    const leftOut = sources.filter((k) => k !== best).map((k) => this.sources[k]);
    return { ...orderedBeats(beats, rateCadence(times, rates), clock), device: this.sources[best], leftOut };
  }
}
