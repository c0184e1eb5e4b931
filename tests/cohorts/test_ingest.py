"""From files to a store: recordings with and without labels, with and without heartbeats."""

import csv
from pathlib import Path

import numpy as np
import pytest
import wfdb
import yaml

from sleepkd import prepare
from sleepkd.cohorts.condition import night_statistics
from sleepkd.cohorts.ecg import detect
from sleepkd.data.beats import beat_quality, median_interval
from sleepkd.data.hypnogram import UNSCORED
from sleepkd.data.splits import read_split
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from tests.cohorts.raw import channel, heartbeats, write_psg, write_scoring

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # of wfdb

SECONDS, RATE = 310, 256
SLPDB = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "slpdb"
LAB = {
    "name": "lab",
    "files": r"(?P<recording>s\d+)\.edf",
    "scoring": {"files": ["{recording} scored.edf"], "labels": {"w": "W", "2": "N2", "r": "REM"}},
    "signals": {"eeg": [{"plus": "C3"}], "ecg": [{"plus": "ECG"}]},
}


def run(tmp_path: Path, *more: object, code: int = 0, **changes) -> Store:
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump({k: v for k, v in (LAB | changes).items() if v is not None}))
    arguments = ["--dataset", tmp_path / "lab.yaml", "--raw", tmp_path / "raw", "--out", tmp_path / "store", *more]
    assert prepare.main([str(argument) for argument in arguments]) == code
    return Store(tmp_path / "store")


def notes(store: Store, file: str = "summary.tsv") -> dict[str, str]:
    with open(store.path / file, newline="", encoding="utf-8") as table:
        return {row["recording"]: row["note"] for row in csv.DictReader(table, delimiter="\t")}


def noise(scale: float = 10.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=scale, size=SECONDS * RATE)


def night(raw: Path, name: str = "s1", scored: bool = True, ecg: np.ndarray | None = None) -> None:
    """About five minutes; if scored, from second 40 to 190."""
    own = 1 + sum(name.encode()) / 1e6  # no two recordings are of one night
    ecg = own * heartbeats(SECONDS, RATE, 0) if ecg is None else ecg
    channels = [channel("C3", own * noise(), RATE), channel("ECG", ecg, RATE, "mV")]
    write_psg(raw / f"{name}.edf", channels)
    if scored:
        write_scoring(raw / f"{name} scored.edf", [(40.0 + 30 * k, 30.0, "w2r"[k % 3]) for k in range(5)])


def true_beats() -> np.ndarray:
    """The beats of `heartbeats`."""
    beats = np.cumsum(np.random.default_rng(0).normal(1.0, 0.05, 2 * SECONDS))
    return beats[beats < SECONDS - 1]


# --- labels ---


def test_an_unlabelled_recording_is_prepared(tmp_path):
    night(tmp_path / "raw", scored=False)
    store = run(tmp_path, scoring="none", epoch_seconds=20)
    recording = store.open("s1")
    assert not recording.has_labels
    assert recording.info.seconds == SECONDS
    np.testing.assert_array_equal(recording.hypnogram.onset_s, 20.0 * np.arange(15))
    assert set(recording.hypnogram.labels) == {-1}
    assert len(recording.beat_quality()) == 15
    for signal in recording.info.signals.values():
        assert (signal.scored_median, signal.scored_iqr) == (None, None)
    assert recording.info.signals["eeg"].iqr == pytest.approx(10 * 1.349 * np.sqrt(180 / 256), rel=0.03)
    assert "without labels: 15 sleep epochs" in notes(store)["s1"]


def test_statistics_of_the_scored_part_and_of_the_night_are_stored(tmp_path):
    night(tmp_path / "raw")
    recording = run(tmp_path, "--rate", RATE).open("s1")
    info = recording.info.signals["eeg"]
    physical = recording.signal("eeg") * info.scale + info.offset
    scored = np.percentile(physical[40 * RATE : 190 * RATE], (25, 50, 75))
    assert info.scored_median == pytest.approx(scored[1], abs=info.scale)
    assert info.scored_iqr == pytest.approx(scored[2] - scored[0], abs=info.scale)
    assert (info.median, info.iqr) == pytest.approx(night_statistics(physical, RATE), abs=info.scale)
    assert info.iqr != info.scored_iqr


def test_a_missing_scoring_file_is_an_error_unless_allowed(tmp_path, capsys):
    night(tmp_path / "raw", "s1")
    night(tmp_path / "raw", "s2", scored=False)
    store = run(tmp_path, code=2)
    assert store.recordings == ["s1"]
    assert "s2.edf: has no scoring file beside it (s2 scored.edf)" in notes(store)["s2"]
    store = run(tmp_path, "--allow-unscored")
    assert "no scoring file found, so without labels: 10 sleep epochs" in notes(store)["s2"]
    assert [store.open(name).has_labels for name in store.recordings] == [True, False]


def test_a_damaged_scoring_file_is_an_error_even_if_a_missing_one_is_allowed(tmp_path):
    night(tmp_path / "raw", "s1")
    night(tmp_path / "raw", "s2")
    (tmp_path / "raw" / "s2 scored.edf").write_text("w\n")
    assert run(tmp_path, "--allow-unscored", code=2).recordings == ["s1"]


def test_an_unlabelled_recording_shorter_than_a_sleep_epoch_is_refused(tmp_path):
    write_psg(tmp_path / "raw" / "s1.edf", [channel("C3", noise()[:2560], RATE), channel("ECG", noise()[:2560], RATE)])
    with pytest.raises(UserError, match="holds no recording"):
        run(tmp_path, scoring="none", code=2)
    table = (tmp_path / "store" / "summary.tsv").read_text()
    assert "s1.edf: lasts 10 s, less than a sleep epoch" in table


def test_an_ecg_alone(tmp_path):
    night(tmp_path / "raw")
    recording = run(tmp_path, signals={"ecg": LAB["signals"]["ecg"]}).open("s1")
    assert set(recording.info.signals) == {"ecg"}
    assert recording.info.beats.count > 290


def test_scoring_in_a_folder_of_its_own(tmp_path):
    night(tmp_path / "raw" / "edfs")
    (tmp_path / "raw" / "annotations").mkdir()
    (tmp_path / "raw" / "edfs" / "s1 scored.edf").rename(tmp_path / "raw" / "annotations" / "s1-nsrr.edf")
    scoring = LAB["scoring"] | {"files": ["annotations/{recording}-nsrr.edf"]}
    recording = run(tmp_path, scoring=scoring).open("s1")
    assert recording.hypnogram.labels.tolist() == [0, 2, 4, 0, 2]
    assert recording.info.scoring == "s1-nsrr.edf"


# --- splits ---


OTHERS = {"scoring": LAB["scoring"] | {"others": ["{recording} scored by *.edf"]}}


def test_labels_of_further_scorers_are_stored(tmp_path):
    night(tmp_path / "raw")
    night(tmp_path / "raw", "s2")
    for name, texts in (("ann", "wwwww"), ("bob", "r2r2r")):
        marks = [(40.0 + 30 * k, 30.0, text) for k, text in enumerate(texts)]
        write_scoring(tmp_path / "raw" / f"s1 scored by {name}.edf", marks[: 5 if name == "ann" else 4])
    store = run(tmp_path, **OTHERS)
    one, two = store.open("s1"), store.open("s2")
    assert one.info.other_scorings == ("s1 scored by ann.edf", "s1 scored by bob.edf")
    inside = one.hypnogram.labels != UNSCORED
    assert one.other_scorings()[:, inside].tolist() == [[0, 0, 0, 0, 0], [4, 2, 4, 2, UNSCORED]]
    assert two.info.other_scorings == () and two.other_scorings().shape == (0, len(two.hypnogram))


def test_a_further_scorer_with_other_sleep_epochs_is_refused(tmp_path):
    night(tmp_path / "raw")
    write_scoring(tmp_path / "raw" / "s1 scored by ann.edf", [(50.0 + 30 * k, 30.0, "w") for k in range(4)])
    night(tmp_path / "raw", "s2")
    store = run(tmp_path, **OTHERS, code=2)
    message = "s1 scored by ann.edf: 4 of its 4 sleep epochs begin where none of the first scoring's does"
    assert message in notes(store)["s1"]
    assert store.recordings == ["s2"]


@pytest.mark.parametrize(("n", "sizes"), [(1, [1, 0, 0]), (2, [2, 0, 0]), (3, [1, 1, 1]), (5, [3, 1, 1])])
def test_the_split_of_a_small_cohort(tmp_path, capsys, n, sizes):
    for k in range(n):
        night(tmp_path / "raw", f"s{k}")
    split = read_split(run(tmp_path, "--no-beats"), "default")
    assert [len(split.parts[part]) for part in ("train", "validation", "test")] == sizes
    printed = [line for line in capsys.readouterr().out.splitlines() if "too few" in line]
    assert len(printed) == (n < 3)
    for line in printed:
        assert f"nothing for validation and test, too few subjects have labels ({n}); prepare more" in line


def test_unlabelled_recordings_are_in_the_training_part(tmp_path):
    for k in range(3):
        night(tmp_path / "raw", f"s{k}")
        night(tmp_path / "raw", f"s{k + 3}", scored=False)
    split = read_split(run(tmp_path, "--no-beats", "--allow-unscored"), "default")
    assert {"s3", "s4", "s5"} < set(split.parts["train"])
    assert [len(split.parts[part]) for part in ("train", "validation", "test")] == [4, 1, 1]


# --- beats ---


@pytest.mark.parametrize("sign", [1, -1])
def test_beats_are_found_in_an_ecg_of_either_polarity(tmp_path, sign):
    night(tmp_path / "raw", ecg=sign * heartbeats(SECONDS, RATE, 0))
    recording = run(tmp_path).open("s1")
    beats, info = recording.beats(), recording.info.beats
    truth = true_beats()
    assert len(beats) == info.count == pytest.approx(len(truth), abs=2)
    assert np.median(np.abs(beats[np.searchsorted(beats, truth[5:-5] - 0.2)] - truth[5:-5])) < 0.004
    assert info.source == "sleepecg"
    assert info.median_s == median_interval(beats) == pytest.approx(1.0, abs=0.01)
    hypnogram = recording.hypnogram
    expected = beat_quality(beats, hypnogram.onset_s, hypnogram.duration_s)
    np.testing.assert_array_equal(recording.beat_quality(), expected)
    assert expected.min() > 0.99


def test_no_beats(tmp_path):
    night(tmp_path / "raw")
    recording = run(tmp_path, "--no-beats").open("s1")
    assert recording.info.beats is None
    assert sorted(path.name for path in recording.folder.iterdir()) == [
        "ecg.npy", "eeg.npy", "hypnogram.tsv", "recording.json",
    ]  # fmt: skip


def test_a_recording_whose_ecg_has_no_beats_is_kept(tmp_path, capsys):
    """A wave of 0.1 Hz, in which the detector finds implausible beats."""
    night(tmp_path / "raw", ecg=np.sin(2 * np.pi * 0.1 * np.arange(SECONDS * RATE) / RATE))
    store = run(tmp_path)
    assert store.info("s1").beats is None
    assert "WARNING: no plausible beats in the ECG, so none are stored" in notes(store)["s1"]
    assert "s1: no plausible beats in the ECG" in capsys.readouterr().out


def test_an_ecg_of_noise_is_warned_of(tmp_path):
    night(tmp_path / "raw", ecg=noise(1.0))
    note = notes(run(tmp_path))["s1"]
    assert "WARNING: no plausible beats in the ECG, so none are stored" in note


def test_a_recording_is_kept_if_the_detector_fails(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("not\ntoday; never")

    monkeypatch.setattr(detect, "detect_beats", fails)
    night(tmp_path / "raw")
    store = run(tmp_path)
    assert store.info("s1").beats is None
    assert "WARNING: no beats were detected in the ECG (RuntimeError: not today, never)" in notes(store)["s1"]


def test_beats_of_a_file_are_used_in_place_of_detected_ones(tmp_path):
    night(tmp_path / "raw", "s1")
    night(tmp_path / "raw", "s2")
    given = np.arange(-2, SECONDS + 5, 0.8)
    (tmp_path / "raw" / "beats").mkdir()
    (tmp_path / "raw" / "beats" / "s1.csv").write_text("\n".join(["t", *(f"{t:.3f}" for t in given)]))
    beats = {"files": ["beats/{recording}.csv"], "format": "table", "column": "t"}
    store = run(tmp_path, beats=beats)
    inside = given[(given >= 0) & (given <= SECONDS)]
    np.testing.assert_allclose(store.open("s1").beats(), inside, atol=1e-6)
    assert store.info("s1").beats.source == "s1.csv"
    assert store.info("s2").beats.source == "sleepecg"  # it has no file of beats, but an ECG


@pytest.mark.parametrize("labels", [True, False])
def test_a_recording_of_heartbeats_alone(tmp_path, labels):
    raw = tmp_path / "raw"
    raw.mkdir()
    beats = np.rint(250 * np.cumsum(np.random.default_rng(0).normal(0.9, 0.02, 200))).astype(int)
    wfdb.wrann("s1", "ecg", beats, ["N"] * len(beats), fs=250, write_dir=str(raw))
    (raw / "s1.hea").write_text("s1 0 250 50000\n")
    if labels:
        wfdb.wrann(
            "s1", "st", np.array([1, 7500, 52500]), ['"'] * 3, aux_note=["W", "2", "R"], fs=250, write_dir=str(raw)
        )
    changes = {"files": r"(?P<recording>s\d+)\.hea", "format": "none", "signals": None}
    scoring = {"format": "wfdb", "files": ["{recording}.st"], "labels": {"W": "W", "2": "N2", "R": "REM"}}
    files = {"files": ["{recording}.ecg"], "format": "wfdb"}
    store = run(tmp_path, **changes, beats=files, scoring=scoring if labels else "none")
    recording = store.open("s1")
    np.testing.assert_allclose(recording.beats(), beats / 250)
    assert recording.info.signals == {}
    assert recording.has_labels == labels
    last = beats[-1] / 250
    assert recording.info.seconds == pytest.approx(240 if labels else last)
    assert recording.hypnogram.labels.tolist() == ([0, 2, 4] if labels else [-1] * int(last // 30))
    (raw / "s2.hea").write_text("s2 0 250 50000\n")
    run(tmp_path, "--allow-unscored", code=2, **changes, beats=files, scoring=scoring if labels else "none")
    assert "s2.hea: has no beats file beside it (s2.ecg)" in notes(store)["s2"]
    with pytest.raises(UserError, match="--no-beats: cohort lab has nothing but heartbeats"):
        run(tmp_path, "--no-beats", **changes, beats=files, scoring="none")


# --- twelve real nights ---


@pytest.mark.skipif(not SLPDB.is_dir(), reason="the Polysomnographic Database (shared/data/slpdb) is not here")
def test_the_polysomnographic_database(tmp_path):
    arguments = ["--dataset", "slpdb_beats", "--raw", SLPDB, "--out", tmp_path / "store"]
    assert prepare.main([str(argument) for argument in arguments]) == 0
    store = Store(tmp_path / "store")
    assert len(store.recordings) == 12
    assert len({store.info(name).subject for name in store.recordings}) == 10
    stage_of = {"W": 0, "1": 1, "2": 2, "3": 3, "4": 3, "R": 4, "M": -1, "MT": -1}
    for name in store.recordings:
        recording = store.open(name)
        st, ecg = (wfdb.rdann(str(SLPDB / name), kind) for kind in ("st", "ecg"))
        stages = [stage_of[note.strip("\0").split()[0]] for note in st.aux_note]
        assert recording.hypnogram.labels.tolist() == stages
        np.testing.assert_allclose(recording.hypnogram.onset_s, st.sample / 250)
        assert set(recording.hypnogram.duration_s) == {30.0}
        of_beats = ecg.sample[~np.isin(ecg.symbol, ["x", "+", "~", "|"])] / 250
        np.testing.assert_allclose(recording.beats(), of_beats)
        rate = 60 / np.median(np.diff(of_beats))
        assert 60 / recording.info.beats.median_s == pytest.approx(rate, rel=0.02)
        assert 60 < rate < 95
        assert recording.beat_quality().mean() > 0.8
    assert store.info("slp67x").seconds == pytest.approx(4620, abs=1)
    labels = np.concatenate([store.open(name).hypnogram.labels for name in store.recordings])
    assert {k: int(np.sum(labels == k)) for k in range(-1, 5)} == {-1: 11, 0: 2031, 1: 1045, 2: 2408, 3: 245, 4: 305}
    split = read_split(store, "default")
    assert all(split.parts.values())


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_an_ecg_with_an_implausible_span_is_warned_of(tmp_path, factor):
    night(tmp_path / "raw", "s1", ecg=factor * heartbeats(SECONDS, RATE, 0))
    night(tmp_path / "raw", "s2")
    found = notes(run(tmp_path))
    assert "WARNING: ECG spans " in found["s1"] and "check its unit" in found["s1"]
    assert "WARNING: ECG spans " not in found["s2"]


# --- age and sex


def patient(path: Path, text: str) -> None:
    """Replace the patient field of an EDF."""
    content = path.read_bytes()
    path.write_bytes(content[:8] + text.encode().ljust(80) + content[88:])


def test_age_sex_and_time_of_day_by_the_header(tmp_path, capsys):
    for name in ("s1", "s2"):
        night(tmp_path / "raw", name)
    patient(tmp_path / "raw" / "s1.edf", "1 F 18-NOV-1960 X")
    store = run(tmp_path)
    first, second = (store.info(name) for name in ("s1", "s2"))
    assert (first.age, first.sex, first.start_time) == (42.0, "F", "22:30:00")
    assert (second.age, second.sex, second.start_time) == (None, None, "22:30:00")
    assert "42 years, F" in notes(store)["s1"] and "years" not in notes(store)["s2"]
    printed = capsys.readouterr().out
    assert "of 2 recordings, the age of 1, the sex of 1, the time of day of 2 known" in printed


def test_a_table_of_subjects_comes_before_the_header(tmp_path):
    night(tmp_path / "raw")
    patient(tmp_path / "raw" / "s1.edf", "1 F 18-NOV-1960 X")
    (tmp_path / "raw" / "t.csv").write_text("id,years,gender\n1,70,n/a\n")
    subjects = {"files": ["t.csv"], "match": {"id": "{number}"}, "age": "years", "sex": "gender"}
    store = run(tmp_path, files=r"(?P<recording>s(?P<number>\d+))\.edf", subjects=subjects)
    assert (store.info("s1").age, store.info("s1").sex) == (70.0, "F")
    assert "WARNING: age 70 by the table of subjects, 42 by s1.edf: the first is taken" in notes(store)["s1"]


def test_participants_are_read_without_a_section(tmp_path):
    for name in ("s1", "s2"):
        night(tmp_path / "raw", name)
    (tmp_path / "raw" / "participants.tsv").write_text("participant_id\tage\tsex\nsub-s1\t31\tF\ns2\t999\tX\n")
    store = run(tmp_path)
    assert (store.info("s1").age, store.info("s1").sex) == (31.0, "F")
    assert (store.info("s2").age, store.info("s2").sex) == (None, None)
    assert "WARNING: participants.tsv: '999' is no plausible age, so the age is unknown" in notes(store)["s2"]


def test_a_table_without_its_column_costs_age_and_sex_alone(tmp_path):
    night(tmp_path / "raw")
    (tmp_path / "raw" / "t.csv").write_text("id\n1\n")
    store = run(tmp_path, subjects={"files": ["t.csv"], "match": {"id": "{recording}"}})
    assert (store.info("s1").age, store.info("s1").sex) == (None, None)
    assert "WARNING: age and sex are not read: " in notes(store)["s1"] and "has no column age" in notes(store)["s1"]


@pytest.mark.skipif(not SLPDB.is_dir(), reason="the Polysomnographic Database (shared/data/slpdb) is not here")
def test_the_sleepers_of_slpdb(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for name in ("slp67x", "slp66"):
        for path in SLPDB.glob(f"{name}.*"):
            (raw / path.name).symlink_to(path.resolve())
    assert prepare.main(["--dataset", "slpdb_beats", "--raw", str(raw), "--out", str(tmp_path / "store")]) == 0
    store = Store(tmp_path / "store")
    found = [(info.age, info.sex, info.start_time) for info in map(store.info, store.recordings)]
    assert found == [(33.0, "M", "00:23:30"), (None, "M", "01:06:00")]
