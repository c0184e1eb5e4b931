"""Online sleep staging: a causal network stages heartbeats, or an ECG, while the night is recorded."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from sleepkd.cohorts.ecg.detect import BLOCK_SECONDS, MARGIN_SECONDS, SLOWEST_HZ, candidates_in_block
from sleepkd.data.beats import NEIGHBOURS, SLOW_SECONDS, beat_quality, causal_beat_series
from sleepkd.data.hypnogram import CLASS_NAMES, EPOCH_SECONDS, UNSCORED_NAME
from sleepkd.data.views import TOKEN_SECONDS, TOKENS_PER_30_S
from sleepkd.errors import UserError
from sleepkd.prediction.ecg_check import USABLE
from sleepkd.prediction.memory.arrays import checked_beats, checked_rate, numbers_of
from sleepkd.prediction.model import Model
from sleepkd.prediction.recorded import LONGEST_SECONDS, too_long


class StagedSleepEpoch(NamedTuple):
    """A sleep epoch that has ended.

    Attributes
    ----------
    onset_s
        When it began, s from the start of the night.
    stage
        Its sleep stage, "unscored" without usable heartbeats.
    probabilities
        (K,) float32.
    """

    onset_s: float
    stage: str
    probabilities: np.ndarray


class BeatStream:
    """Online sleep staging from heartbeats: `feed` returns a stage for every 30 s that have ended.

    The stages are those of `Model.predict_beats`. With `model.lookahead_minutes` they arrive that much later.
    Only the beats in the network's receptive field are kept, about two hours, for a night of any length.

    Parameters
    ----------
    model
        A causal network (`model.causal`) with the input `beats`.

    Raises
    ------
    UserError
        For a network that is not causal, or has no input `beats`.
    """

    def __init__(self, model: Model):
        trained, settings = model.trained, model.trained.config.model
        beats_input = trained.inputs.get("beats")
        if not getattr(settings, "causal", False) or beats_input is None:
            raise UserError(
                f"{trained.path}: a stream needs a causal network with the input beats; "
                "train one with model.causal=true and stage.inputs.beats={causal: true}"
            )
        self._network = trained.with_inputs(["beats"]).network if len(trained.inputs) > 1 else trained.network
        self._rate_hz, self._temperature = beats_input.rate, model.temperature
        self._class_names = CLASS_NAMES[trained.config.data.classes]
        self._receptive_tokens = settings.repeats * sum(settings.dilations) * (settings.kernel - 1)
        self._lookahead_tokens = round(60 * settings.lookahead_minutes / TOKEN_SECONDS)
        self._beats = np.zeros(0)
        self._next = 0  # the number of the next sleep epoch
        self._last = 0.0  # the time of the last beat, s

    def feed(self, times: Sequence[float] | np.ndarray, until_s: float | None = None) -> list[StagedSleepEpoch]:
        """Add heartbeats, and return the sleep epochs that have ended since the last call.

        Parameters
        ----------
        times
            Times of the heartbeats (beats,), s from the start of the night, in any order; each counts once.
        until_s
            The time up to which all beats are known, by default that of the last one.

        Returns
        -------
        list of StagedSleepEpoch
            In order of time; empty if none has ended.

        Raises
        ------
        UserError
            For a beat that comes after the sleep epoch which it belongs to was staged, before 0 s, or after 14 days (as
            times since 1970).
        """
        times = checked_beats(times)
        until = float(times[-1]) if len(times) else 0.0
        if until_s is not None:
            until = float(until_s)
            if not until <= LONGEST_SECONDS:
                raise UserError(f"until_s: {too_long(until)}" if until > 0 else "until_s: is not a number")
        times = times[~np.isin(times, self._beats)]
        if len(times) and times[0] <= self._staged_until:
            raise UserError(
                f"a beat at {times[0]:g} s comes after one at {self._last:g} s, when the sleep epoch that it belongs "
                "to was staged; feed beats in order"
            )
        self._beats = np.union1d(self._beats, times)
        self._last = max([self._last, until, *times[-1:]])
        return list(self._ended(until if until_s is not None else self._last))

    @property
    def _staged_until(self) -> float:
        """The time, s, up to which beats were needed for the sleep epochs that were staged."""
        return EPOCH_SECONDS * self._next + TOKEN_SECONDS * self._lookahead_tokens if self._next else -1.0

    def _ended(self, now: float) -> Iterator[StagedSleepEpoch]:
        while EPOCH_SECONDS * (self._next + 1) + TOKEN_SECONDS * self._lookahead_tokens <= now + 1e-9:
            yield self._stage(self._next)
            self._next += 1
            seen_s = TOKEN_SECONDS * (self._receptive_tokens + TOKENS_PER_30_S) + 2 * SLOW_SECONDS
            first = int(np.searchsorted(self._beats, EPOCH_SECONDS * self._next - seen_s)) - 2 * NEIGHBOURS
            self._beats = self._beats[max(0, first) :]

    @torch.no_grad()
    def _stage(self, number: int) -> StagedSleepEpoch:
        """The stage of one sleep epoch, from the receptive field before it and the lookahead after it."""
        last = TOKENS_PER_30_S * (number + 1) + self._lookahead_tokens
        first = max(0, TOKENS_PER_30_S * number - self._receptive_tokens)
        samples = (last - first) * round(TOKEN_SECONDS * self._rate_hz)
        series = causal_beat_series(self._beats, TOKEN_SECONDS * first, samples, self._rate_hz)
        logits = self._network({"beats": torch.from_numpy(series)[None, None]})[0]
        token = TOKENS_PER_30_S * number - first
        mean = logits[token : token + TOKENS_PER_30_S].mean(dim=0) / self._temperature
        probabilities = mean.softmax(dim=-1).numpy()
        onset_s, duration_s = np.array([EPOCH_SECONDS * number]), np.full(1, EPOCH_SECONDS)
        usable = beat_quality(self._beats, onset_s, duration_s, causal=True)[0] >= USABLE
        name = self._class_names[int(probabilities.argmax())] if usable else UNSCORED_NAME
        return StagedSleepEpoch(float(onset_s[0]), name, probabilities)


class EcgStream:
    """Online sleep staging from an ECG: detects R peaks, then stages as `BeatStream` does.

    The stages are those of `Model.predict`. R peaks are detected in blocks of five minutes with a margin of ten
    seconds, so stages arrive ten at a time, up to five minutes late, and six minutes of ECG are kept. If a device
    reports its heartbeats, feed those to `BeatStream` instead, without that delay. NaN is missing.

    Parameters
    ----------
    model
        A causal network with the input `beats`.
    fs
        Samples per second.
    polarity
        1 for R waves that point up, -1 for down; it is not detected while recording.

    Raises
    ------
    UserError
        For an ECG too slow for R peaks, another polarity, or a network that `BeatStream` rejects.
    """

    def __init__(self, model: Model, fs: float, polarity: int = 1):
        fs = checked_rate(fs)
        if polarity not in (1, -1):
            raise UserError(f"polarity: must be 1 or -1, not {polarity!r}")
        if not fs > SLOWEST_HZ:
            raise UserError(f"fs: an ECG of {fs:g} Hz is too slow for R peaks")
        self._stream = BeatStream(model)
        self._rate_hz, self._polarity = float(fs), polarity
        self._block, self._margin = round(BLOCK_SECONDS * fs), round(MARGIN_SECONDS * fs)  # samples
        self._kept = np.zeros(0)
        self._first = self._start = 0  # of what is kept, and of the next block, samples

    def feed(self, samples: Sequence[float] | np.ndarray) -> list[StagedSleepEpoch]:
        """Add samples (samples,) of the ECG, and return the sleep epochs whose heartbeats are known since.

        Raises UserError for another shape or dtype.
        """
        self._kept = np.concatenate([self._kept, self._polarity * numbers_of(samples, "the signal")])
        stages = []
        while self._first + len(self._kept) >= self._start + self._block + self._margin:
            stages += self._stage_block()
        return stages

    def end(self) -> list[StagedSleepEpoch]:
        """End the night, and return its remaining sleep epochs."""
        stages, end = [], self._first + len(self._kept)
        while self._start < end:
            stages += self._stage_block()
        return stages

    def _stage_block(self) -> list[StagedSleepEpoch]:
        """The stages that the heartbeats of one more block complete. Samples before the next margin are dropped."""
        kept = self._kept[: self._start + self._block + self._margin - self._first]
        start, end = self._start, min(self._start + self._block, self._first + len(kept))
        beats = self._first / self._rate_hz + candidates_in_block(kept, self._rate_hz).kept
        beats = beats[(beats >= start / self._rate_hz) & (beats < end / self._rate_hz)]
        self._start = start + self._block
        dropped = max(0, self._start - self._margin - self._first)
        self._kept, self._first = self._kept[dropped:], self._first + dropped
        return self._stream.feed(beats, until_s=end / self._rate_hz)
