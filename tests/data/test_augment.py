"""Rows made a little different: what each key does, who sees it, and what the draws depend on."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sleepkd.data.augment import LONGEST_LEAD_OFF, Augment
from sleepkd.data.beats import RELATIVE
from sleepkd.data.inputs import BeatsInput, SignalInput, resolve
from sleepkd.data.nights import open_nights
from sleepkd.data.data_settings import AugmentConfig, DataConfig, Source
from sleepkd.data.segments import Segments
from sleepkd.errors import UserError

ALL = {
    "polarity": 0.5, "gain": 0.3, "noise": 0.2, "electrode_dropout": 0.5, "dropped_beats": 0.1, "added_beats": 0.1,
    "stretch": 0.2, "drop_input": 0.5,
}  # fmt: skip
SIGNAL = np.random.default_rng(0).normal(size=2000).astype(np.float32)
SIGNAL[500:600] = 0
BEATS = np.arange(0.0, 1200.0)


def augment(seed: int = 0, **settings: float) -> Augment:
    return Augment(AugmentConfig(**settings), np.random.default_rng(seed))


def segments(store: Path, names: tuple[str, ...] = ("ecg", "beats"), augmented: str = "student", **settings) -> Segments:
    data = DataConfig(store=str(store), view="night", segment_minutes=5, augment=AugmentConfig(**settings))
    nights = open_nights((Source(str(store)),), "train")
    wishes = {name: BeatsInput() if name == "beats" else SignalInput() for name in names}
    spec = resolve(wishes, data, nights[0].rate_hz)
    return Segments(nights, {"student": spec, "teacher": spec}, data, augmented=augmented, seed=3)


def seen(of: Segments, rows: list[int], reader: str = "student") -> dict[str, torch.Tensor]:
    return of[np.array(rows)].inputs[reader]


def test_nothing_is_done_by_default() -> None:
    nothing = augment()
    np.testing.assert_array_equal(nothing.signal(SIGNAL.copy()), SIGNAL)
    np.testing.assert_array_equal(nothing.beats(BEATS, 300, 600), BEATS[240:960])
    series = np.ones((3, 8), np.float32)
    np.testing.assert_array_equal(nothing.series(series.copy()), series)
    assert nothing.left_out(["ecg", "beats"]) is None
    assert not AugmentConfig().is_on and all(AugmentConfig(**{key: value}).is_on for key, value in ALL.items())


def test_a_row_is_turned_by_its_polarity() -> None:
    turned = [np.array_equal(augment(seed, polarity=0.3).signal(SIGNAL.copy()), -SIGNAL) for seed in range(300)]
    assert 0.2 < np.mean(turned) < 0.4


def test_gain_is_one_factor_a_row() -> None:
    factors = []
    for seed in range(300):
        x = augment(seed, gain=0.5).signal(SIGNAL.copy())
        ratio = x[SIGNAL != 0] / SIGNAL[SIGNAL != 0]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
        factors.append(np.log(ratio[0]))
    assert np.std(factors) == pytest.approx(0.5, rel=0.15) and abs(np.mean(factors)) < 0.1


def test_noise_is_laid_over_signal_alone() -> None:
    added = augment(noise=0.25).signal(SIGNAL.copy()) - SIGNAL
    assert not added[500:600].any()
    assert added[SIGNAL != 0].std() == pytest.approx(0.25, rel=0.05)


def test_lead_off_is_one_stretch_of_zeros() -> None:
    lengths = []
    for seed in range(200):
        off = (augment(seed, electrode_dropout=0.5).signal(SIGNAL.copy()) == 0) & (SIGNAL != 0)
        changed = np.flatnonzero(off)
        if len(changed):
            inside = SIGNAL[changed[0] : changed[-1] + 1]
            assert off[changed[0] : changed[-1] + 1][inside != 0].all()
        lengths.append(len(changed))
    assert 0.4 < np.mean(np.array(lengths) > 0) < 0.6
    assert 0.8 * LONGEST_LEAD_OFF * 2000 < max(lengths) <= LONGEST_LEAD_OFF * 2000


def test_beats_are_dropped_and_added_by_their_shares() -> None:
    dropped = augment(dropped_beats=0.2).beats(BEATS, 100, 1000)
    assert np.isin(dropped, BEATS).all() and len(dropped) == pytest.approx(0.8 * 1120, rel=0.06)
    added = augment(added_beats=0.2).beats(BEATS, 100, 1000)
    assert np.isin(BEATS[40:1160], added).all() and (np.diff(added) >= 0).all()
    assert len(added) == pytest.approx(1.2 * 1120, rel=0.03)
    assert added[0] == 40 and added[-1] == 1159


@pytest.mark.parametrize("beats", [[], [5.0]])
def test_hardly_a_beat(beats: list[float]) -> None:
    assert augment(dropped_beats=0.0, added_beats=1.0).beats(np.array(beats), 0, 60).tolist() == beats


def test_stretch_is_one_factor_of_the_row_s_intervals() -> None:
    series = np.random.default_rng(1).normal(size=(3, 50)).astype(np.float32)
    series[:, 20:30] = 0
    shifts = []
    for seed in range(200):
        x = augment(seed, stretch=0.1).series(series.copy())
        np.testing.assert_array_equal(x[1:], series[1:])
        assert not x[:, 20:30].any()
        moved = np.delete(x[0] - series[0], range(20, 30))
        np.testing.assert_allclose(moved, moved[0], atol=1e-5)
        shifts.append(moved[0] * RELATIVE)
    assert np.std(shifts) == pytest.approx(0.1, rel=0.2)


def test_off_the_rows_are_as_they_were(store: Path) -> None:
    plain, off = segments(store, augmented=""), segments(store)
    for name, x in seen(plain, [0, 3, 5]).items():
        assert torch.equal(x, seen(off, [0, 3, 5])[name])
    assert off.augmented == ""


def test_the_teacher_sees_the_row_as_it_is(store: Path) -> None:
    plain, changed = segments(store, augmented=""), segments(store, **ALL)
    batch = changed[np.arange(8)]
    for name, x in seen(plain, list(range(8)), "teacher").items():
        assert torch.equal(x, batch.inputs["teacher"][name])
        assert not torch.equal(x, batch.inputs["student"][name])


def test_what_is_drawn_depends_on_seed_epoch_and_row_alone(store: Path) -> None:
    changed = segments(store, **ALL)
    together, alone = seen(changed, [4, 2, 7]), seen(changed, [2])
    assert all(torch.equal(x[1], alone[name][0]) for name, x in together.items())
    changed.epoch = 1
    assert any(not torch.equal(x[0], alone[name][0]) for name, x in seen(changed, [2]).items())
    changed.epoch, changed.seed = 0, 4
    assert any(not torch.equal(x[0], alone[name][0]) for name, x in seen(changed, [2]).items())


def test_what_is_masked_stays_zero(store: Path) -> None:
    changed = segments(store, **ALL | {"drop_input": 0, "electrode_dropout": 0})
    batch = changed[np.arange(len(changed))]
    assert not batch.mask.all()
    for x in batch.inputs["student"].values():
        token_spans = x.reshape(len(batch.mask), -1, batch.mask.shape[1], x.shape[-1] // batch.mask.shape[1])
        empty = (token_spans == 0).all(dim=3).all(dim=1)
        assert empty[~batch.mask].all() and not empty[batch.mask].all()


def test_one_input_of_a_row_is_left_out(store: Path) -> None:
    changed = segments(store, drop_input=0.5)
    rows = seen(changed, list(range(len(changed))))
    out = {name: (x == 0).flatten(1).all(dim=1) for name, x in rows.items()}
    assert not (out["ecg"] & out["beats"]).any()
    assert out["ecg"].any() and out["beats"].any() and not (out["ecg"] | out["beats"]).all()


def test_the_only_input_is_not_left_out(store: Path) -> None:
    with pytest.raises(UserError, match=r"data.augment.drop_input: stage.inputs names one input only; set it to 0"):
        segments(store, ("beats",), drop_input=0.5)


@pytest.mark.parametrize(("key", "value"), [("polarity", 1.1), ("noise", -1), ("drop_input", -0.1), ("gain", np.inf)])
def test_impossible_values_are_refused_by_key(key: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"^data.augment.{key}: must be "):
        DataConfig(view="night", augment=AugmentConfig(**{key: value})).check()


def test_it_is_for_nights() -> None:
    with pytest.raises(UserError, match=r"^data.augment: goes with data.view: night"):
        DataConfig(augment=AugmentConfig(noise=0.1)).check()
