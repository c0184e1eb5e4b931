"""Belts and airflow in quiet breathing and in apneas, and their phase to the heartbeats."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import hilbert

from simulation.simulated_nights import night
from sleepkd.simulation import respiration
from sleepkd.simulation.cardiac import GRID_RATE, SUSPENDED_SHARE, simulate_cardiac_rhythm, suspension
from sleepkd.simulation.respiration import (
    ABDOMEN,
    THORAX,
    central_apneas,
    respiratory_effort,
    simulate_airflow,
    simulate_belt,
)

RATE = 32
ONSETS = np.arange(300.0, 3300, 100)
DURATION = 20.0


def recorded(kind: bool, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Channels of an hour with a 20-s apnea every 100 s; `kind`: whether they are central."""
    apneas = np.stack([ONSETS, np.full(len(ONSETS), DURATION)], axis=1)
    one = replace(night(0, 1.0), apneas=apneas, movements=np.zeros((0, 2)))
    monkeypatch.setattr(respiration, "central_apneas", lambda night: np.full(len(night.apneas), kind))
    effort = respiratory_effort(one, simulate_cardiac_rhythm(one))
    belts = {belt: simulate_belt(one, effort, belt, RATE) for belt in (THORAX, ABDOMEN)}
    return {**belts, "airflow": simulate_airflow(one, effort, RATE)}


def spans(signal: np.ndarray, first: float, last: float) -> np.ndarray:
    """Samples from `first` to `last` s after the onset of each apnea (k, samples), without their mean."""
    index = ((ONSETS[:, None] + np.arange(first, last, 1 / RATE)) * RATE).astype(int)
    return signal[index] - signal[index].mean(axis=1, keepdims=True)


def test_obstructive_apnea_has_effort_against_a_closed_airway(monkeypatch: pytest.MonkeyPatch) -> None:
    found = recorded(False, monkeypatch)
    size = {name: np.median(spans(x, 3, 18).std(axis=1) / spans(x, -20, -2).std(axis=1)) for name, x in found.items()}
    assert size["airflow"] < 0.15 and 0.4 < size[THORAX] < 1.1 and 0.4 < size[ABDOMEN] < 1.1
    thorax, abdomen = spans(found[THORAX], 5, 18), spans(found[ABDOMEN], 5, 18)
    paradox = [np.corrcoef(a, b)[0, 1] for a, b in zip(thorax, abdomen, strict=True)]
    quiet = np.corrcoef(spans(found[THORAX], -30, -3).ravel(), spans(found[ABDOMEN], -30, -3).ravel())[0, 1]
    assert np.median(paradox) < -0.6 and quiet > 0.8
    late, early = (np.median(spans(found[ABDOMEN], t, t + 6).std(axis=1)) for t in (13, 3))
    assert late > 1.2 * early  # effort grows


def test_central_apnea_has_neither_effort_nor_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, signal in recorded(True, monkeypatch).items():
        assert np.median(spans(signal, 4, 17).std(axis=1) / spans(signal, -20, -2).std(axis=1)) < 0.2, name


def test_breathing_is_deeper_after_an_apnea(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = recorded(False, monkeypatch)["airflow"]
    after, later = (np.median(spans(flow, t, t + 8).std(axis=1)) for t in (22, 60))
    assert after > 1.15 * later


def test_effort_is_the_breathing_of_the_heartbeats_and_goes_on_in_apneas() -> None:
    one = replace(night(3, 1.0), apneas=np.stack([ONSETS, np.full(len(ONSETS), DURATION)], axis=1))
    rhythm = simulate_cardiac_rhythm(one)
    effort = respiratory_effort(one, rhythm)
    waveform = effort.depth * np.sin(effort.phase)
    suspended = suspension(one.apneas, len(waveform))
    np.testing.assert_allclose(-waveform * (1 - SUSPENDED_SHARE * suspended), rhythm.breathing, atol=1e-9)
    inside = slice(200, -200)
    expected = np.unwrap(np.angle(hilbert(waveform))) + np.pi / 2  # of a sine
    away = effort.phase - expected
    assert np.abs(away - np.median(away))[inside].mean() < 0.05
    assert effort.depth[suspended > 0.99].mean() > 0.5


def test_airflow_leads_the_belt_by_a_quarter_of_a_breath() -> None:
    one = replace(night(1, 1.0), movements=np.zeros((0, 2)), apneas=np.zeros((0, 2)))
    effort = respiratory_effort(one, simulate_cardiac_rhythm(one))
    belt, flow = simulate_belt(one, effort, ABDOMEN, RATE), simulate_airflow(one, effort, RATE)
    product = np.mean(np.exp(1j * (np.angle(hilbert(flow - flow.mean())) - np.angle(hilbert(belt - belt.mean())))))
    assert np.degrees(np.angle(product)) == pytest.approx(90, abs=15) and np.abs(product) > 0.6
    assert len(belt) == 3600 * RATE and len(effort.depth) == 3600 * GRID_RATE


def test_central_apneas_are_the_minority_of_most_sleepers() -> None:
    shares = [central_apneas(replace(night(k), apneas=np.ones((400, 2)))).mean() for k in range(60)]
    assert np.median(shares) < 0.2 and 0 < np.mean(np.array(shares) > 0.6) < 0.3
    assert (central_apneas(night(2)) == central_apneas(night(2))).all()
