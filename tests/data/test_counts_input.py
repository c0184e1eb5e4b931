"""Counts of movement as an input: a rest, a movement and a missing count differ."""

import numpy as np
import pytest

from sleepkd.data.augment import Augment
from sleepkd.data.counts_input import CountsInput
from sleepkd.data.data_settings import AugmentConfig, DataConfig
from sleepkd.data.recording_info import MISSING
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.data.stage_inputs import resolve
from sleepkd.errors import UserError
from tests.data.stored import hypnogram, made_store

COUNTS = np.array([0, 0, 4, MISSING, 12, 0], dtype=np.int16)  # every 5 s, in units of 0.5 counts


@pytest.fixture
def night(tmp_path):
    nights = {"a": hypnogram([0.0])}
    return made_store(tmp_path, nights, {"motion": COUNTS}, rate_hz=0.2, scale=0.5, mean=2.0).open("a")


def read(night, start=0.0, seconds=30.0, **settings):
    item = CountsInput(0.2, **settings)
    return item.read("motion", [night], np.array([start]), np.zeros(1), seconds)[0]


def test_counts_are_logarithms_in_units_of_the_mean_and_a_missing_one_is_no_signal(night):
    expected = [[0, 0, np.log(2), 0, np.log(4), 0], [1, 1, 1, 0, 1, 1]]
    np.testing.assert_allclose(read(night), expected, atol=1e-6)
    np.testing.assert_allclose(read(night, normalisation="physical", scale=6.0)[0, 4], np.log(2), atol=1e-6)


def test_beyond_the_counts_is_no_signal(night):
    x = read(night, start=-10.0, seconds=50.0)
    np.testing.assert_array_equal(x[1], [0, 0, 1, 1, 1, 0, 1, 1, 0, 0])
    assert not x[0, [0, 1, 8, 9]].any()


def test_every_token_of_a_rest_counts_as_present(night):
    assert CountsInput(0.2).shape(10.0) == (2, 2)
    assert (read(night, 0.0, 10.0) != 0).any()


def test_augmentation_changes_counts_and_keeps_what_is_missing(night):
    augment = Augment(AugmentConfig(gain=0.5), np.random.default_rng(0))
    x = CountsInput(0.2).read_augmented("motion", night, 0.0, 30.0, augment)
    gain = np.exp(0.5 * np.random.default_rng(0).standard_normal())
    np.testing.assert_allclose(x[0], np.log1p(gain * np.array([0, 0, 1, 0, 3, 0])), atol=1e-5)
    np.testing.assert_array_equal(x[1], [1, 1, 1, 0, 1, 1])


def test_defaults_and_causality():
    assert resolve({"motion": {}}, DataConfig(), 200.0) == {"motion": CountsInput(0.2)}
    causal = resolve({"motion": {}}, DataConfig(normalisation="physical"), 200.0)["motion"]
    assert causal.is_causal and not CountsInput(0.2).is_causal
    assert "set data.normalisation or stage.inputs.motion.normalisation" in CountsInput(0.2).why_not_causal("motion")


def test_a_night_that_does_not_fit_is_named(tmp_path, night):
    with pytest.raises(UserError, match=r"motion is stored at 0.2 Hz, the network was made for 0.1 Hz"):
        CountsInput(0.1).check("motion", night)
    other = made_store(tmp_path / "x", {"a": hypnogram([0.0])}, {"ecg": COUNTS}).open("a")
    with pytest.raises(UserError, match="holds no motion; prepare it with --signals motion"):
        CountsInput(0.2).check("motion", other)


def test_quality_is_the_share_of_a_sleep_epoch_that_has_samples(tmp_path):
    assert SIGNAL_KINDS["motion"].keeps_missing
    nights = {"a": hypnogram([0.0, 15.0, 30.0], 15.0)}
    night = made_store(tmp_path, nights, {"motion": COUNTS}, rate_hz=0.2, mean=1.0).open("a")
    np.testing.assert_allclose(night.signal_quality("motion"), [1, 2 / 3, 0])
