"""Teachers of other libraries: nights of which they know nothing."""

from pathlib import Path

import numpy as np

from sleepkd.data.store import Store
from sleepkd.teachers.external import YasaTeacher
from tests.data.stored import without_inputs


def test_yasa_knows_nothing_of_a_night_without_eeg(store: Path, tmp_path: Path) -> None:
    first, *_ = Store(store).recordings
    night = without_inputs(store, tmp_path / "store", {first: ["eeg"]}).open(first)
    probabilities = YasaTeacher.stage_night(night)
    assert probabilities.shape == (len(night.hypnogram), 5) and np.isnan(probabilities).all()
