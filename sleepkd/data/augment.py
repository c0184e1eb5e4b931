"""Augmentation of the student's training segments; the teacher and validation read the same segments unchanged.

Random draws depend on (seed, training epoch, segment) alone: they are the same on any number of processes and after a
resume.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from sleepkd.data.averaged_rate import averaged_beats, draw_device
from sleepkd.data.beats import RELATIVE
from sleepkd.data.data_settings import AugmentConfig
from sleepkd.data.sinus_arrhythmia import with_sinus_arrhythmia

MAX_DROPOUT = 0.25
"""Longest electrode dropout, as a share of the segment."""
MARGIN_S = 60.0
"""Heartbeats within this time of a segment are augmented too: its first and last samples depend on them."""


@dataclass(frozen=True)
class Augment:
    """The augmentation of one segment. rng: the segment's own generator; the order of calls is the order of draws.

    Values of 0 (no signal) stay 0.
    """

    settings: AugmentConfig
    rng: np.random.Generator

    def signal(self, x_S: np.ndarray) -> np.ndarray:
        """A normalised signal, float32 (samples,), with random inversion, gain, additive noise, electrode dropout.

        May change its argument in place.
        """
        settings, rng = self.settings, self.rng
        present = x_S != 0
        sign = -1 if rng.random() < settings.inversion else 1
        x_S = x_S * np.float32(sign * np.exp(settings.gain * rng.standard_normal()))
        if settings.noise:
            x_S += np.float32(settings.noise) * rng.standard_normal(len(x_S), dtype=np.float32) * present
        if rng.random() < settings.electrode_dropout:
            length = round(MAX_DROPOUT * len(x_S) * rng.random())
            first = rng.integers(0, len(x_S) - length + 1)
            x_S[first : first + length] = 0
        return x_S

    def beats(self, beats: np.ndarray, start_s: float, seconds: float, averaged: bool = False) -> np.ndarray:
        """The heartbeats around a segment, s, with some dropped and some added, or as a random device averages them.

        averaged: whether they were made of an averaged heart rate; then they may get a sinus arrhythmia.
        """
        settings, rng = self.settings, self.rng
        # Without the key nothing is drawn, so that the other draws stay the same.
        device = draw_device(rng) if settings.averaged and rng.random() < settings.averaged else None
        margin = MARGIN_S + (device.reach_s if device else 0)
        low, high = np.searchsorted(beats, (start_s - margin, start_s + seconds + margin))
        near = np.asarray(beats[low:high])
        kept = near[rng.random(len(near)) >= settings.dropped_beats]
        count = rng.poisson(settings.added_beats * len(near)) if len(near) > 1 else 0
        added = rng.uniform(near[0], near[-1], count) if count else np.zeros(0)
        detected = np.sort(np.concatenate([kept, added]))
        if device:
            return averaged_beats(detected, device, rng)
        if averaged and settings.sinus_arrhythmia and rng.random() < settings.sinus_arrhythmia:
            return with_sinus_arrhythmia(detected, rng)
        return detected

    def series(self, x_3S: np.ndarray) -> np.ndarray:
        """The series of `beats.beat_series` (3, samples), with all RR intervals scaled by one factor, in place."""
        shift = self.settings.rr_scale * self.rng.standard_normal() / RELATIVE
        x_3S[0] += np.float32(shift) * (x_3S != 0).any(axis=0)
        return x_3S

    def dropped_inputs(self, names: Sequence[str]) -> Collection[str]:
        """Those of the inputs of a segment that are left out, by `data.augment.drop_input`; never all."""
        chances, rng = self.settings.drop_input, self.rng
        if isinstance(chances, dict):
            chance_N = np.array([chances.get(name, 0.0) for name in names])
            while (out_N := rng.random(len(names)) < chance_N).all():
                pass
            return [name for name, out in zip(names, out_N, strict=True) if out]
        if rng.random() >= chances or len(names) < 2:
            return ()
        number = 1 + int(rng.integers(2 ** len(names) - 2))  # its bits are the inputs left out: not none, not all
        return [name for bit, name in enumerate(names) if number >> bit & 1]
