"""Heart rates of an export of Apple Health (export.xml), of its last night, as heartbeats."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from sleepkd.cohorts.beats.beat_layout import BeatLayout, BeatTimes, ordered_beats
from sleepkd.data.averaged_rate import beats_of_rate
from sleepkd.data.heart_rate_input import rate_cadence
from sleepkd.errors import UserError

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
LONGEST_GAP_S = 20.0 * 60
"""Heart rates farther apart are interrupted. Their median cadence is no guide: a watch measures every few minutes at
night, and every few seconds in sports."""
NIGHTS_MEET = timedelta(hours=15)
"""From 15:00 to 15:00 is one night of an export of months."""
ENOUGH_OF_THE_LONGEST = 0.5
"""The last night is the last one with so many rates, in parts of the night that has most."""


def read_apple_health(path: Path, layout: BeatLayout) -> BeatTimes:
    """The beats of the last night, s from the first one. Raises UserError for other XML, and without a heart rate."""
    moments, rates = [], []
    try:
        for _, element in ElementTree.iterparse(path):
            if element.tag == "Record" and element.get("type") == HEART_RATE:
                moments.append(datetime.strptime(element.get("startDate", ""), "%Y-%m-%d %H:%M:%S %z"))
                rates.append(float(element.get("value", "nan")))
            element.clear()
    except (ElementTree.ParseError, ValueError) as error:
        raise UserError(f"{path}: is no export of Apple Health: {error}") from None
    if not moments:
        raise UserError(f"{path}: holds no heart rate ({HEART_RATE})")
    nights = [(moment - NIGHTS_MEET).date() for moment in moments]
    counts = Counter(nights)
    last = max(night for night, count in counts.items() if count >= ENOUGH_OF_THE_LONGEST * max(counts.values()))
    chosen = [(m.timestamp(), rate) for m, rate, night in zip(moments, rates, nights, strict=True) if night == last]
    times, per_minute = (np.array(column) for column in zip(*sorted(chosen), strict=True))
    beats = beats_of_rate(times - times[0], per_minute, LONGEST_GAP_S)
    if len(beats) < 2:
        raise UserError(f"{path}: holds no beats")
    return ordered_beats(path, beats - beats.min(), rate_cadence(times, per_minute))
