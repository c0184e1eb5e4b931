"""Augmentation: the effect of each key, the reader that gets it, and what the random draws depend on."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from sleepkd.data.augment import MAX_DROPOUT, Augment
from sleepkd.data.beats import RELATIVE
from sleepkd.data.data_settings import AugmentConfig, DataConfig, Source
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import Segments
from sleepkd.data.splits import write_split
from sleepkd.data.stage_inputs import resolve
from sleepkd.errors import UserError
from tests.data.stored import hypnogram, made_store

ALL = {
    "inversion": 0.5, "gain": 0.3, "noise": 0.2, "electrode_dropout": 0.5, "dropped_beats": 0.1, "added_beats": 0.1,
    "rr_scale": 0.2, "drop_input": 0.5, "averaged": 0.5, "sinus_arrhythmia": 0.5,
}  # fmt: skip
SIGNAL = np.random.default_rng(0).normal(size=2000).astype(np.float32)
SIGNAL[500:600] = 0
BEATS = np.arange(0.0, 1200.0)


def augment(seed: int = 0, **settings: float) -> Augment:
    return Augment(AugmentConfig(**settings), np.random.default_rng(seed))


def segments(
    store: Path, names: tuple[str, ...] = ("ecg", "beats"), augmented: str = "student", **settings
) -> Segments:
    data = DataConfig(store=str(store), view="night", segment_minutes=5, augment=AugmentConfig(**settings))
    nights = open_nights((Source(str(store)),), "train")
    spec = resolve({name: {} for name in names}, data, nights[0].rate_hz)
    return Segments(nights, {"student": spec, "teacher": spec}, data, augmented=augmented, seed=3)


def inputs(of: Segments, chosen: list[int], reader: str = "student") -> dict[str, torch.Tensor]:
    return of[np.array(chosen)].inputs[reader]


def test_no_augmentation_by_default() -> None:
    nothing = augment()
    np.testing.assert_array_equal(nothing.signal(SIGNAL.copy()), SIGNAL)
    np.testing.assert_array_equal(nothing.beats(BEATS, 300, 600), BEATS[240:960])
    series = np.ones((3, 8), np.float32)
    np.testing.assert_array_equal(nothing.series(series.copy()), series)
    assert not nothing.dropped_inputs(["ecg", "beats"])
    assert not AugmentConfig().is_on and all(AugmentConfig(**{key: value}).is_on for key, value in ALL.items())


def test_random_inversion() -> None:
    inverted = [np.array_equal(augment(seed, inversion=0.3).signal(SIGNAL.copy()), -SIGNAL) for seed in range(300)]
    assert 0.2 < np.mean(inverted) < 0.4


def test_gain_is_one_factor_per_segment() -> None:
    factors = []
    for seed in range(300):
        x = augment(seed, gain=0.5).signal(SIGNAL.copy())
        ratio = x[SIGNAL != 0] / SIGNAL[SIGNAL != 0]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
        factors.append(np.log(ratio[0]))
    assert np.std(factors) == pytest.approx(0.5, rel=0.15) and abs(np.mean(factors)) < 0.1


def test_noise_is_added_to_signal_only() -> None:
    added = augment(noise=0.25).signal(SIGNAL.copy()) - SIGNAL
    assert not added[500:600].any()
    assert added[SIGNAL != 0].std() == pytest.approx(0.25, rel=0.05)


def test_electrode_dropout_is_one_interval_of_zeros() -> None:
    lengths = []
    for seed in range(200):
        off = (augment(seed, electrode_dropout=0.5).signal(SIGNAL.copy()) == 0) & (SIGNAL != 0)
        changed = np.flatnonzero(off)
        if len(changed):
            inside = SIGNAL[changed[0] : changed[-1] + 1]
            assert off[changed[0] : changed[-1] + 1][inside != 0].all()
        lengths.append(len(changed))
    assert 0.4 < np.mean(np.array(lengths) > 0) < 0.6
    assert 0.8 * MAX_DROPOUT * 2000 < max(lengths) <= MAX_DROPOUT * 2000


def test_beats_are_dropped_and_added_by_their_shares() -> None:
    dropped = augment(dropped_beats=0.2).beats(BEATS, 100, 1000)
    assert np.isin(dropped, BEATS).all() and len(dropped) == pytest.approx(0.8 * 1120, rel=0.06)
    added = augment(added_beats=0.2).beats(BEATS, 100, 1000)
    assert np.isin(BEATS[40:1160], added).all() and (np.diff(added) >= 0).all()
    assert len(added) == pytest.approx(1.2 * 1120, rel=0.03)
    assert added[0] == 40 and added[-1] == 1159


def test_averaged_heartbeats_are_those_of_a_random_device() -> None:
    uneven = np.cumsum(np.where(np.arange(1200) % 2, 0.95, 1.05))
    read = [augment(seed, averaged=0.3).beats(uneven, 300, 600) for seed in range(200)]
    unchanged = [np.isin(found, uneven).all() for found in read]
    assert 0.6 < np.mean(unchanged) < 0.8
    for found in (found for found, same in zip(read, unchanged, strict=True) if not same):
        assert (np.diff(found) > 0).all()
        assert np.median(np.diff(found)) == pytest.approx(1.0, abs=0.03)


def test_averaging_reaches_beyond_the_segment_on_both_sides() -> None:
    covered = [augment(seed, averaged=1.0).beats(BEATS, 400, 300)[[0, -1]] for seed in range(200)]
    begins, ends = np.array(covered).T
    assert np.mean(begins <= 400 - 25) > 0.85 and np.mean(ends >= 700 + 25) > 0.85  # the rest begins in a gap


def test_without_averaging_the_other_draws_are_the_same() -> None:
    settings = {"dropped_beats": 0.1, "added_beats": 0.1}
    rng = np.random.default_rng(5)
    kept = BEATS[240:960][rng.random(720) >= 0.1]
    added = rng.uniform(240, 959, rng.poisson(72))
    found = augment(5, **settings, averaged=0.0).beats(BEATS, 300, 600)
    np.testing.assert_array_equal(found, np.sort(np.concatenate([kept, added])))


@pytest.mark.parametrize("averaged", [0.0, 1.0])
@pytest.mark.parametrize("beats", [[], [5.0]])
def test_fewer_than_two_heartbeats(beats: list[float], averaged: float) -> None:
    found = augment(dropped_beats=0.0, added_beats=1.0, averaged=averaged).beats(np.array(beats), 0, 60)
    assert found.tolist() == ([] if averaged else beats)


def test_rr_scale_is_one_factor_on_all_intervals() -> None:
    series = np.random.default_rng(1).normal(size=(3, 50)).astype(np.float32)
    series[:, 20:30] = 0
    shifts = []
    for seed in range(200):
        x = augment(seed, rr_scale=0.1).series(series.copy())
        np.testing.assert_array_equal(x[1:], series[1:])
        assert not x[:, 20:30].any()
        moved = np.delete(x[0] - series[0], range(20, 30))
        np.testing.assert_allclose(moved, moved[0], atol=1e-5)
        shifts.append(moved[0] * RELATIVE)
    assert np.std(shifts) == pytest.approx(0.1, rel=0.2)


def test_segments_without_augmentation_are_unchanged(store: Path) -> None:
    plain, off = segments(store, augmented=""), segments(store)
    for name, x in inputs(plain, [0, 3, 5]).items():
        assert torch.equal(x, inputs(off, [0, 3, 5])[name])
    assert off.augmented == ""


def test_the_teacher_reads_the_unaugmented_segment(store: Path) -> None:
    plain, changed = segments(store, augmented=""), segments(store, **ALL)
    batch = changed[np.arange(8)]
    for name, x in inputs(plain, list(range(8)), "teacher").items():
        assert torch.equal(x, batch.inputs["teacher"][name])
        assert not torch.equal(x, batch.inputs["student"][name])


def test_draws_depend_on_seed_training_epoch_and_segment_alone(store: Path) -> None:
    changed = segments(store, **ALL)
    together, alone = inputs(changed, [4, 2, 7]), inputs(changed, [2])
    assert all(torch.equal(x[1], alone[name][0]) for name, x in together.items())
    changed.epoch = 1
    assert any(not torch.equal(x[0], alone[name][0]) for name, x in inputs(changed, [2]).items())
    changed.epoch, changed.seed = 0, 4
    assert any(not torch.equal(x[0], alone[name][0]) for name, x in inputs(changed, [2]).items())


def test_masked_tokens_stay_zero(store: Path) -> None:
    changed = segments(store, **ALL | {"drop_input": 0, "electrode_dropout": 0})
    batch = changed[np.arange(len(changed))]
    assert not batch.mask.all()
    for x in batch.inputs["student"].values():
        tokens = x.reshape(len(batch.mask), -1, batch.mask.shape[1], x.shape[-1] // batch.mask.shape[1])
        empty = (tokens == 0).all(dim=3).all(dim=1)
        assert empty[~batch.mask].all() and not empty[batch.mask].all()


def dropped(names: str, drop_input: float | dict[str, float], draws: int = 4000) -> Counter[str]:
    """How often each choice of inputs is left out."""
    drawing = augment(drop_input=drop_input)
    return Counter("".join(drawing.dropped_inputs(list(names))) for _ in range(draws))


def test_a_probability_leaves_out_every_choice_but_all_equally_often() -> None:
    found = dropped("abc", 0.6)
    assert set(found) == {"", "a", "b", "c", "ab", "ac", "bc"}
    assert found[""] / 4000 == pytest.approx(0.4, abs=0.04)
    for choice in set(found) - {""}:
        assert found[choice] / 4000 == pytest.approx(0.1, abs=0.025)
    assert dropped("a", 1.0) == {"": 4000}


def test_two_inputs_are_left_out_by_the_same_draws_as_in_earlier_versions() -> None:
    drawing, rng = augment(7, drop_input=0.5), np.random.default_rng(7)
    for _ in range(200):
        earlier = ["ecg", "beats"][rng.integers(2)] if rng.random() < 0.5 else None
        assert list(drawing.dropped_inputs(["ecg", "beats"])) == ([earlier] if earlier else [])


def test_a_probability_for_each_input_is_independent_of_the_others_given_that_one_is_left() -> None:
    chances = {"a": 0.5, "b": 0.2, "d": 0.9}
    found = dropped("abc", chances)
    for choice, expected in {"": 0.4, "a": 0.4, "b": 0.1, "ab": 0.1}.items():  # c is never left out
        assert found[choice] / 4000 == pytest.approx(expected, abs=0.03)
    found = dropped("ab", chances)
    for choice, expected in {"": 0.4 / 0.9, "a": 0.4 / 0.9, "b": 0.1 / 0.9}.items():  # without both: 0.1
        assert found[choice] / 4000 == pytest.approx(expected, abs=0.03)
    assert found["ab"] == 0


def test_an_input_is_kept_where_it_alone_has_signal(tmp_path: Path) -> None:
    ecg = np.random.default_rng(0).integers(-3000, 3000, 20 * 30 * 32).astype(np.int16)
    ecg[: len(ecg) // 2] = 0  # an electrode off
    night = hypnogram(30.0 * np.arange(20))
    made_store(tmp_path / "s", {"a": night}, {"ecg": ecg, "emg": ecg[::-1].copy()}, 32.0)
    write_split(tmp_path / "s" / "splits" / "default", {"train": ("a",), "validation": (), "test": ()}, "")
    changed = segments(tmp_path / "s", ("ecg", "emg"), drop_input=1.0)
    assert len(changed) == 2
    for changed.epoch in range(8):
        ecg_first, ecg_last = (x.any().item() for x in inputs(changed, [0, 1])["ecg"])
        emg_first, emg_last = (x.any().item() for x in inputs(changed, [0, 1])["emg"])
        assert (ecg_first, emg_first, ecg_last, emg_last) == (False, True, True, False)


def test_at_most_one_of_two_inputs_is_dropped(store: Path) -> None:
    changed = segments(store, drop_input=0.5)
    read = inputs(changed, list(range(len(changed))))
    out = {name: (x == 0).flatten(1).all(dim=1) for name, x in read.items()}
    assert not (out["ecg"] & out["beats"]).any()
    assert out["ecg"].any() and out["beats"].any() and not (out["ecg"] | out["beats"]).all()


def test_the_only_input_cannot_be_dropped(store: Path) -> None:
    with pytest.raises(UserError, match=r"data.augment.drop_input: stage.inputs names one input only; set it to 0"):
        segments(store, ("beats",), drop_input=0.5)
    with pytest.raises(UserError, match=r"data.augment.drop_input.emg: stage.inputs names no emg, but ecg, beats"):
        segments(store, drop_input={"ecg": 0.5, "emg": 0.5})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("inversion", 1.1),
        ("noise", -1),
        ("drop_input", -0.1),
        ("averaged", 2),
        ("gain", np.inf),
        ("drop_input", {"ecg": 1.0}),
    ],
)
def test_impossible_values_are_refused_by_key(key: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"^data.augment.{key}(\.ecg)?: must be "):
        DataConfig(view="night", augment=AugmentConfig(**{key: value})).check()


def test_augmentation_needs_view_night() -> None:
    with pytest.raises(UserError, match=r"^data.augment: goes with data.view: night"):
        DataConfig(augment=AugmentConfig(noise=0.1)).check()
