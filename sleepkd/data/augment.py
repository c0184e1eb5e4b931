"""Rows of a night made a little different each time a student sees them; a teacher and validation see them as they are.

What is drawn follows from (seed, epoch of training, row) alone: the same on any number of processes, and after a kill.
"""

from dataclasses import dataclass

import numpy as np

from sleepkd.data.beats import RELATIVE
from sleepkd.data.data_settings import AugmentConfig

LONGEST_LEAD_OFF = 0.25  # of a row
MARGIN_S = 60.0  # how far around a row beats are changed: what its first and last samples depend on


@dataclass(frozen=True)
class Augment:
    """What is done to one row; rng is the row's own, and draws in the order of the calls.

    Signals and series that are 0 stay 0: nothing is laid over what is not there.
    """

    settings: AugmentConfig
    rng: np.random.Generator

    def signal(self, x_S: np.ndarray) -> np.ndarray:
        """A normalised signal (samples,), turned, scaled, noisy and off, as drawn."""
        settings, rng = self.settings, self.rng
        there = x_S != 0
        sign = -1 if rng.random() < settings.inversion else 1
        x_S = x_S * np.float32(sign * np.exp(settings.gain * rng.standard_normal()))
        if settings.noise:
            x_S += np.float32(settings.noise) * rng.standard_normal(len(x_S), dtype=np.float32) * there
        if rng.random() < settings.electrode_dropout:
            length = round(LONGEST_LEAD_OFF * len(x_S) * rng.random())
            first = rng.integers(0, len(x_S) - length + 1)
            x_S[first : first + length] = 0
        return x_S

    def beats(self, beats: np.ndarray, start_s: float, seconds: float) -> np.ndarray:
        """Beat times around a row, some dropped and some added between others."""
        settings, rng = self.settings, self.rng
        low, high = np.searchsorted(beats, (start_s - MARGIN_S, start_s + seconds + MARGIN_S))
        near = np.asarray(beats[low:high])
        kept = near[rng.random(len(near)) >= settings.dropped_beats]
        count = rng.poisson(settings.added_beats * len(near)) if len(near) > 1 else 0
        added = rng.uniform(near[0], near[-1], count) if count else np.zeros(0)
        return np.sort(np.concatenate([kept, added]))

    def series(self, x_3S: np.ndarray) -> np.ndarray:
        """The series of beats (3, samples) with the row's RR intervals longer or shorter by a factor."""
        shift = self.settings.rr_scale * self.rng.standard_normal() / RELATIVE
        x_3S[0] += np.float32(shift) * (x_3S != 0).any(axis=0)
        return x_3S

    def left_out(self, names: list[str]) -> str | None:
        """Which of a row's inputs is left out, if any."""
        if self.rng.random() >= self.settings.drop_input:
            return None
        return names[self.rng.integers(len(names))]
