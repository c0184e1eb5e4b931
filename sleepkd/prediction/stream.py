"""Stages as the night goes on: a causal network fed with beats, or with an ECG, as they come."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from sleepkd.cohorts.beats.detect import BLOCK_SECONDS, MARGIN_SECONDS, SLOWEST_HZ, detect_in_block
from sleepkd.data.beats import NEIGHBOURS, SLOW_SECONDS, beat_quality, causal_beat_series
from sleepkd.data.hypnogram import CLASS_NAMES, EPOCH_SECONDS, UNSCORED_NAME
from sleepkd.data.inputs import BeatsInput
from sleepkd.data.views import TOKEN_SECONDS, TOKENS_PER_30_S
from sleepkd.errors import UserError
from sleepkd.prediction.heart import USABLE
from sleepkd.prediction.model import Model


class Stage(NamedTuple):
    """A sleep epoch that has ended: where it began, s, its stage or "unscored", and its probabilities (K,)."""

    onset_s: float
    stage: str
    probabilities: np.ndarray


class BeatStream:
    """Feed it the times of beats; it hands out a stage for every 30 s as they end, the same as `predict_beats` gives.

    What it keeps is what the network sees behind it, some two hours of beats, however long the night. A network with
    `model.lookahead_minutes` answers so much later. Raises UserError where the network is not causal, or sees more
    than beats.
    """

    def __init__(self, model: Model):
        trained, settings = model.trained, model.trained.config.model
        item = trained.inputs.get("beats")
        if not getattr(settings, "causal", False) or not isinstance(item, BeatsInput):
            raise UserError(
                f"{trained.path}: is not causal, or does not see beats: model.causal=true, stage.inputs.beats"
            )
        self._network = trained.with_inputs(["beats"]).network if len(trained.inputs) > 1 else trained.network
        self._rate, self._temperature = item.rate, model.temperature
        self._names = CLASS_NAMES[trained.config.data.classes]
        self._reach = settings.repeats * sum(settings.dilations) * (settings.kernel - 1)
        self._lookahead = round(60 * settings.lookahead_minutes / TOKEN_SECONDS)
        self._beats = np.zeros(0)
        self._next = 0

    def feed(self, times: Sequence[float] | np.ndarray, until_s: float | None = None) -> list[Stage]:
        """More beats, s from the start of the night, and the time until which all have come (the last of them).

        Returns the sleep epochs that have ended since.
        """
        times = np.asarray(times, dtype=np.float64)
        if len(times) and len(self._beats) and times[0] <= self._beats[-1]:
            raise UserError(f"a beat at {times[0]:g} s comes after one at {self._beats[-1]:g} s")
        self._beats = np.concatenate([self._beats, times])
        now = until_s if until_s is not None else float(self._beats[-1]) if len(self._beats) else 0.0
        return list(self._ended(now))

    def _ended(self, now: float) -> Iterator[Stage]:
        while EPOCH_SECONDS * (self._next + 1) + TOKEN_SECONDS * self._lookahead <= now + 1e-9:
            yield self._stage(self._next)
            self._next += 1
            behind = EPOCH_SECONDS * self._next - TOKEN_SECONDS * (self._reach + TOKENS_PER_30_S) - 2 * SLOW_SECONDS
            first = max(0, int(np.searchsorted(self._beats, behind)) - 2 * NEIGHBOURS)
            self._beats = self._beats[first:]

    @torch.no_grad()
    def _stage(self, number: int) -> Stage:
        """One sleep epoch, from what the network sees of the night behind it and, if it may, ahead."""
        last = TOKENS_PER_30_S * (number + 1) + self._lookahead
        first = max(0, TOKENS_PER_30_S * number - self._reach)
        per_cell = round(TOKEN_SECONDS * self._rate)
        series = causal_beat_series(self._beats, TOKEN_SECONDS * first, (last - first) * per_cell, self._rate)
        logits = self._network({"beats": torch.from_numpy(series)[None, None]})[0]
        place = TOKENS_PER_30_S * number - first
        mean = logits[place : place + TOKENS_PER_30_S].mean(dim=0) / self._temperature
        probabilities = mean.softmax(dim=-1).numpy()
        onset, length = np.array([EPOCH_SECONDS * number]), np.full(1, EPOCH_SECONDS)
        usable = beat_quality(self._beats, onset, length, causal=True)[0] >= USABLE
        name = self._names[int(probabilities.argmax())] if usable else UNSCORED_NAME
        return Stage(float(onset[0]), name, probabilities)


class EcgStream:
    """Feed it an ECG as it is measured; it finds the beats and hands out stages, those of `predict` of such a network.

    R peaks are found as everywhere here, in pieces of five minutes and ten seconds around them: stages come in tens,
    up to five minutes late, and six minutes of ECG are kept. A device that has beats of its own gives those to
    `BeatStream`, at once. polarity: 1 where R waves point up, -1 where down; a night that is not over cannot tell.
    Raises UserError where the ECG is too slow, or the network is none for `BeatStream`.
    """

    def __init__(self, model: Model, fs: float, polarity: int = 1):
        if not fs > SLOWEST_HZ:
            raise UserError(f"fs: an ECG of {fs:g} Hz is too slow for R peaks")
        self._stages = BeatStream(model)
        self._rate, self._polarity = float(fs), polarity
        self._length, self._margin = round(BLOCK_SECONDS * fs), round(MARGIN_SECONDS * fs)
        self._kept = np.zeros(0)
        self._first = self._start = 0  # of what is kept, and of the piece whose beats are next, samples

    def feed(self, samples: Sequence[float] | np.ndarray) -> list[Stage]:
        """More of the ECG (samples,) at fs; returns the sleep epochs whose beats have been found since."""
        self._kept = np.concatenate([self._kept, self._polarity * np.asarray(samples, dtype=np.float64)])
        stages = []
        while self._first + len(self._kept) >= self._start + self._length + self._margin:
            stages += self._piece()
        return stages

    def end(self) -> list[Stage]:
        """The night is over: the rest of its stages."""
        stages, end = [], self._first + len(self._kept)
        while self._start < end:
            stages += self._piece()
        return stages

    def _piece(self) -> list[Stage]:
        """The stages that the beats of one more piece bring; what comes before the next one's margin is forgotten."""
        block = self._kept[: self._start + self._length + self._margin - self._first]
        start, end = self._start, min(self._start + self._length, self._first + len(block))
        beats = self._first / self._rate + detect_in_block(block, self._rate)
        beats = beats[(beats >= start / self._rate) & (beats < end / self._rate)]
        self._start = start + self._length
        forgotten = max(0, self._start - self._margin - self._first)
        self._kept, self._first = self._kept[forgotten:], self._first + forgotten
        return self._stages.feed(beats, until_s=end / self._rate)
