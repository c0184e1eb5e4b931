import hashlib
from pathlib import Path

import mne
import numpy as np
import pytest

from sleepkd.errors import UserError
from sleepkd.simulation import cohort as module
from sleepkd.simulation.cohort import write_cohort
from sleepkd.simulation.mass_layout import plan_recordings
from sleepkd.simulation.recording_files import UNFINISHED

mne.set_log_level("ERROR")


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Six nights with all channels at 128 Hz."""
    out = tmp_path_factory.mktemp("simulated") / "full"
    write_cohort(out, nights=6, hours=0.3, seed=13, channels="full", rate=128)
    return out


@pytest.fixture(scope="module")
def needed(tmp_path_factory):
    out = tmp_path_factory.mktemp("simulated") / "needed"
    write_cohort(out, nights=6, hours=0.3, seed=13, channels="needed", rate=128, jobs=2)
    return out


def hashes(folder: Path, pattern: str = "**/*") -> dict[str, str]:
    files = [path for path in sorted(folder.glob(pattern)) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read(folder: Path) -> list[tuple[mne.io.BaseRaw, mne.Annotations]]:
    paths = sorted(folder.glob("SS*_EDF/*PSG.edf"))
    assert len(paths) == 6
    return [(mne.io.read_raw_edf(p), mne.read_annotations(p.with_name(p.name.replace("PSG", "Base")))) for p in paths]


def test_files_do_not_depend_on_the_number_of_jobs(needed, tmp_path):
    write_cohort(tmp_path / "serial", nights=6, hours=0.3, seed=13, channels="needed", rate=128, jobs=1)
    assert hashes(tmp_path / "serial") == hashes(needed)


def test_another_seed_gives_other_nights(needed, tmp_path):
    write_cohort(tmp_path / "other", nights=1, hours=0.3, seed=14, channels="needed", rate=128)
    expected, found = hashes(needed), hashes(tmp_path / "other")
    assert set(found) <= set(expected) and not set(found.values()) & set(expected.values())


def test_a_night_does_not_depend_on_the_number_of_nights(needed, tmp_path):
    write_cohort(tmp_path / "two", nights=2, hours=0.3, seed=13, channels="needed", rate=128)
    expected, found = hashes(needed), hashes(tmp_path / "two")
    assert all(expected[name] == value for name, value in found.items() if name != "participants.tsv")


def test_length_is_rounded_to_ten_seconds(tmp_path):
    (path,) = write_cohort(tmp_path / "odd", nights=1, hours=0.2513, seed=0, channels="needed", rate=128)
    assert mne.io.read_raw_edf(path).n_times == 900 * 128


def test_returns_the_psg_files_in_order_of_nights(tmp_path):
    paths = write_cohort(tmp_path / "out", nights=2, hours=0.25, seed=0, channels="needed", rate=128)
    assert [path.name for path in paths] == ["01-01-0001 PSG.edf", "01-02-0001 PSG.edf"]
    assert all(path.is_file() and path.with_name(path.name.replace("PSG", "Base")).is_file() for path in paths)


def test_channels_are_named_as_in_mass(full, needed):
    names = {raw.filenames[0].name[:5] + raw.ch_names[0][-3:]: raw.ch_names for raw, _ in read(full)}
    assert names["01-04CLE"] == [
        "EEG C3-CLE", "EEG C4-CLE", "EEG O1-CLE", "EEG O2-CLE", "EEG A2-CLE", "EOG Left Horiz", "EOG Right Horiz",
        "EMG Chin1", "EMG Chin2", "ECG ECGI", "ECG ECGII", "ECG ECGIII",
    ]  # fmt: skip
    assert len(names["01-03LER"]) == 12 and names["01-03LER"][-1] == "ECG ECGI"
    assert names["01-05LER"][2] == "EEG C3-LER"
    for recording, (raw, _) in zip(
        sorted(plan_recordings(6, 13), key=lambda r: r.identifier), read(needed), strict=True
    ):
        eeg = [f"EEG {name}-{recording.reference}" for name in ("C3", "C4", recording.earlobe)]
        assert raw.ch_names == [*eeg, "ECG ECGII" if recording.subset == "SS4" else "ECG ECGI"]


def test_channels_do_not_depend_on_which_others_are_written(full, needed):
    for (all_channels, _), (some, _) in zip(read(full), read(needed), strict=True):
        for name in some.ch_names:
            assert np.array_equal(some.get_data(name), all_channels.get_data(name))


def test_the_two_earlobe_electrodes_have_opposite_signs(needed):
    signs = {}
    for raw, _ in read(needed):
        earlobe = raw.ch_names[2]
        pair = raw.get_data(["EEG C4" + earlobe[6:], earlobe])
        signs.setdefault(earlobe[4:6], set()).add(np.sign(np.corrcoef(pair)[0, 1]))
    assert signs == {"A1": {-1}, "A2": {1}}


def test_units_and_amplitudes_are_physical(full):
    units = set()
    for raw, _ in read(full):
        assert raw.info["sfreq"] == 128 and raw.n_times == round(0.3 * 3600) * 128
        for name in raw.ch_names:
            volt = raw.get_data(name)[0]
            unit = raw._orig_units[name]
            if name.startswith("ECG"):
                units.add(unit)
                assert 0.2e-3 < np.percentile(np.abs(volt), 99.5) < 3e-3
            else:
                assert unit == "µV" and 1e-6 < volt.std() < 80e-6
    assert units == {"mV", "µV"}


def test_scoring_starts_at_a_fraction_of_a_second_and_may_outlast_the_signal(tmp_path, full):
    outlasting, onsets = set(), []
    for raw, scoring in read(full):
        length = 30 if "01-01" in str(raw.filenames[0].name[:5]) or "01-03" in raw.filenames[0].name[:5] else 20
        assert (scoring.duration == length).all()
        assert np.allclose(np.diff(scoring.onset), length, atol=1e-6)
        assert 0 < scoring.onset[0] < length and scoring.onset[0] % 1 != 0
        end = scoring.onset[-1] + length
        assert end > raw.n_times / 128 - length
        outlasting.add(bool(end > raw.n_times / 128))
        onsets.append(scoring.onset[0])
    assert outlasting == {True, False}
    assert len(set(onsets)) == 6


def test_labels_are_those_of_the_standard_with_unscored_ends(full):
    seen = {"aasm": set(), "rk": set()}
    for raw, scoring in read(full):
        texts = list(scoring.description)
        assert all(text.startswith("Sleep stage ") for text in texts)
        labels = [text.removeprefix("Sleep stage ") for text in texts]
        assert labels[0] == labels[-1] == "?" and "?" not in labels[3:-3]
        assert len(set(labels) - {"?"}) >= 3  # sleepers with apnea may have neither deep nor REM sleep
        seen["aasm" if raw.filenames[0].name[:5] in ("01-01", "01-03") else "rk"] |= set(labels)
    assert seen["aasm"] == {"?", "W", "1", "2", "3", "R"}
    assert seen["rk"] == {"?", "W", "1", "2", "3", "4", "R"}


def test_every_channel_has_mains_interference(full):
    raw, _ = read(full)[0]
    for name in ("EEG C3-CLE" if "EEG C3-CLE" in raw.ch_names else "EEG C3-LER", "EMG Chin1", "ECG ECGI"):
        power, f = np.abs(np.fft.rfft(raw.get_data(name)[0])) ** 2, np.fft.rfftfreq(raw.n_times, 1 / 128)
        assert power[np.abs(f - 60) < 0.01].max() > 20 * np.median(power[(f > 58) & (f < 62)])


def test_participants_and_true_beats(needed):
    lines = [line.split("\t") for line in (needed / "participants.tsv").read_text().splitlines()]
    assert lines[0][:6] == ["recording", "origin", "subset", "standard", "reference", "ear"]
    assert [line[0] for line in lines[1:]] == [recording.identifier for recording in plan_recordings(6, 13)]
    assert all(len(line) == len(lines[0]) for line in lines)
    for line in lines[1:]:
        truth = np.load(needed / "truth" / f"{line[0]}.npz")
        rate = 60 / np.median(np.diff(truth["beats"]))
        assert abs(rate / float(line[lines[0].index("resting_heart_rate")]) - 1) < 0.2
        assert truth["beats"].shape == truth["kinds"].shape == truth["clean"].shape
        assert len(truth["states"]) == 108


def test_header_holds_sex_and_start_date(needed):
    sexes = {
        line.split("\t")[0]: line.split("\t")[7] for line in (needed / "participants.tsv").read_text().splitlines()
    }
    for raw, _ in read(needed):
        assert 2001 <= raw.info["meas_date"].year <= 2009
        assert {1: "M", 2: "F"}[raw.info["subject_info"]["sex"]] == sexes[raw.filenames[0].name[:10]]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"nights": 0}, "nights"),
        ({"hours": 0.1}, "hours"),
        ({"hours": float("nan")}, "hours"),
        ({"hours": 30.0}, "hours"),
        ({"seed": -1}, "seed"),
        ({"jobs": 0}, "jobs"),
        ({"channels": "all"}, "channels"),
        ({"rate": 100}, "rate"),
    ],
)
def test_error_names_the_argument_and_nothing_is_written(tmp_path, change, word):
    good = {"nights": 1, "hours": 0.25, "seed": 0, "jobs": 1, "channels": "needed", "rate": 128}
    with pytest.raises(UserError, match=word):
        write_cohort(tmp_path / "out", **(good | change))
    assert not (tmp_path / "out").exists()


def test_folder_that_is_not_empty_is_refused_and_unchanged(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        write_cohort(tmp_path, nights=1, hours=0.25, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_unwritable_folder_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="file"):
            write_cohort(out, nights=1, hours=0.25, seed=0)


def test_failed_write_leaves_nothing_and_the_next_one_succeeds(tmp_path, monkeypatch):
    def fail(out, recording, **settings):
        if recording.night == 1:
            raise OSError(28, "No space left on device")
        return write_simulated_recording(out, recording, **settings)

    write_simulated_recording = module.write_simulated_recording
    arguments = {"nights": 2, "hours": 0.25, "seed": 0, "channels": "needed", "rate": 128}
    monkeypatch.setattr(module, "write_simulated_recording", fail)
    with pytest.raises(UserError, match="No space left on device"):
        write_cohort(tmp_path / "out", **arguments)
    assert list((tmp_path / "out").iterdir()) == []
    monkeypatch.undo()
    (tmp_path / "out" / UNFINISHED).mkdir()  # as a killed run leaves it
    assert len(write_cohort(tmp_path / "out", **arguments)) == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "SS1_EDF",
        "SS2_EDF",
        "participants.tsv",
        "truth",
    ]
