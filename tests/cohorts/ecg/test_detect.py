"""A stretch of an ECG without a signal invents no beats, and changes none around it."""

import numpy as np
import pytest

from sleepkd.cohorts.ecg.detect import candidate_beats, detect_beats
from sleepkd.cohorts.ecg.ecg_stretches import EcgStretch, bridged_ecg, ecg_stretches
from sleepkd.cohorts.signals.edf import EdfFile
from tests.cohorts.raw import DREAMS, heartbeats, needs_dreams

RATE, SECONDS = 100, 1000
FILLS = ("zero", "held", "far", "nan", "line", "quiet", "loud", "clipped hum")
NEAR_S = 0.05


def simulated() -> np.ndarray:
    return heartbeats(SECONDS, RATE, 0) + 0.02 * np.random.default_rng(1).standard_normal(SECONDS * RATE)


def filled(ecg: np.ndarray, rate_hz: float, start_s: float, seconds: float, kind: str) -> np.ndarray:
    """An ECG with something else for a while."""
    first, last = round(start_s * rate_hz), round((start_s + seconds) * rate_hz)
    ecg, n, size = ecg.copy(), last - first, ecg.std()
    noise, at = np.random.default_rng(2).standard_normal(n), np.arange(n) / rate_hz
    ecg[first:last] = {
        "zero": np.zeros(n),
        "held": np.full(n, ecg[max(0, first - 1)]),
        "far": np.full(n, 50 * size),
        "nan": np.full(n, np.nan),
        "line": np.linspace(ecg[first], ecg[last - 1], n),
        "quiet": size / 200 * noise,
        "loud": 30 * size * noise,
        "clipped hum": np.clip(1e4 * size * np.sin(2 * np.pi * 20.3 * at), -40 * size, 40 * size),
    }[kind]
    return ecg


def stretches(ecg: np.ndarray, rate_hz: float) -> list[EcgStretch]:
    return ecg_stretches(*bridged_ecg(ecg, rate_hz), rate_hz)


def outside(beats: np.ndarray, start_s: float, seconds: float) -> np.ndarray:
    return beats[(beats < start_s - 1) | (beats > start_s + seconds + 1)]


def apart(one: np.ndarray, other: np.ndarray) -> int:
    """How many beats of one are not among the others."""
    return int((np.abs(one[:, None] - other).min(axis=1) > NEAR_S).sum())


@pytest.mark.parametrize("kind", FILLS)
@pytest.mark.parametrize("seconds", [1, 2, 10, 90, 400])
@pytest.mark.parametrize("start_s", [0, 150, 301, SECONDS])
def test_beats_around_a_gap_are_those_without_it(kind: str, seconds: float, start_s: float) -> None:
    ecg, start_s = simulated(), min(start_s, SECONDS - seconds)
    known = outside(detect_beats(ecg, RATE, 1), start_s, seconds)
    found = detect_beats(filled(ecg, RATE, start_s, seconds, kind), RATE, 1)
    around = outside(found, start_s, seconds)
    assert apart(around, known) + apart(known, around) <= 3  # at the ends of the ECG
    inside = found[(found > start_s + 1) & (found < start_s + seconds - 1)]
    assert len(inside) <= 0.12 * seconds


@needs_dreams
@pytest.mark.parametrize("kind", FILLS)
@pytest.mark.parametrize(("start_s", "seconds"), [(0, 2), (0, 10), (0, 300), (305, 1), (305, 60), (900, 900)])
def test_beats_of_a_real_ecg_around_a_gap(kind: str, start_s: float, seconds: float) -> None:
    file = EdfFile(DREAMS / "excerpt3.edf")
    index = file.labels.index("ECG")
    ecg, rate_hz = file.channel(index).samples, file.rates[index]
    known = outside(detect_beats(ecg, rate_hz, -1), start_s, seconds)
    around = outside(detect_beats(filled(ecg, rate_hz, start_s, seconds, kind), rate_hz, -1), start_s, seconds)
    assert len(known) > 800
    assert apart(around, known) + apart(known, around) <= 2


def test_an_hour_without_a_signal() -> None:
    ecg = np.concatenate([simulated(), np.zeros(3600 * RATE), simulated()])
    known = detect_beats(simulated(), RATE, 1)
    found = detect_beats(ecg, RATE, 1)
    assert not len(found[(found > SECONDS) & (found < SECONDS + 3600)])
    after = found[found > SECONDS + 3600] - SECONDS - 3600
    assert apart(known, after) + apart(after, known) <= 1


def test_noise_holds_candidates_but_no_beats() -> None:
    noise = np.random.default_rng(3).standard_normal(300 * RATE)
    found = candidate_beats(noise, RATE, 1)
    assert len(found.times) > 300 and len(found.kept) < 0.05 * len(found.times)


def test_stretches_of_an_ecg() -> None:
    ecg = simulated()[: -2 * RATE]  # it ends with a second without a beat
    assert [(s.first, len(s.samples)) for s in stretches(ecg, RATE)] == [(0, len(ecg))]
    parts = stretches(filled(ecg, RATE, 100, 20, "nan"), RATE)
    assert [(s.first, len(s.samples)) for s in parts] == [(0, 100 * RATE), (120 * RATE, (SECONDS - 122) * RATE)]
    bridged = filled(ecg, RATE, 100, 0.5, "far")
    (whole,) = stretches(bridged, RATE)
    inside = whole.samples[100 * RATE : 100 * RATE + 50]
    np.testing.assert_allclose(np.diff(inside), np.diff(inside)[0], atol=1e-9)
    np.testing.assert_array_equal(np.delete(whole.samples, slice(10000, 10050)), np.delete(ecg, slice(10000, 10050)))
    assert not stretches(np.full(1000, np.nan), RATE) and not stretches(np.zeros(1000), RATE)


def test_the_flat_line_between_beats_of_a_coarse_slow_ecg_is_no_gap() -> None:
    beats = np.arange(1, 290, 1.7)
    at = np.arange(300 * RATE) / RATE
    ecg = np.round(3 * sum(np.exp(-(((at - beat) / 0.02) ** 2)) for beat in beats)) / 3
    found = detect_beats(ecg, RATE, 1)
    assert apart(beats, found) <= 2 and apart(found, beats) <= 2


@pytest.mark.parametrize("rate_hz", [32, 64, 256, 500])
def test_a_quarter_of_a_second_on_a_line_is_bridged_wherever_it_begins(rate_hz: int) -> None:
    ecg, length = np.random.default_rng(0).standard_normal(10 * rate_hz), rate_hz // 4
    for first in range(rate_hz, rate_hz + 2 * length):
        line = ecg.copy()
        line[first : first + length] = 7.0
        assert (bridged_ecg(line, rate_hz)[0][first : first + length] != 7).all()
        line[first + 2] = 7.1  # too short on both sides
        np.testing.assert_array_equal(bridged_ecg(line, rate_hz)[0], line)


def test_an_ecg_interpolated_to_another_rate_is_no_straight_line() -> None:
    ecg = simulated()
    at = np.arange(len(ecg)) / RATE
    dense = np.interp(np.arange(0, SECONDS - 1, 1 / 1000), at, ecg)
    assert len(stretches(dense, 1000)) == 1
