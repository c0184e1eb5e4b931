import re
from pathlib import Path

import pytest
import yaml

from sleepkd.cohorts.find import find_recordings
from sleepkd.cohorts.layout import DATASETS, load_cohort
from sleepkd.cohorts.signals import Derivation
from sleepkd.errors import UserError

MASS = load_cohort("mass")
AT_LEAST = {
    "name": "lab",
    "files": r"(?P<recording>(?P<who>s\d+)n\d)\.edf",
    "scoring": {"files": ["{recording}.tal"], "labels": {"Sleep stage W": "W"}},
    "signals": {"eeg": [{"plus": "C3"}], "ecg": [{"plus": "ECG"}]},
}
EARLIER = {key: value for key, value in AT_LEAST.items() if key != "files"} | {"signals": AT_LEAST["files"]}
"""The same without derivations, in the form of earlier versions."""


def dataset(tmp_path: Path, **changes) -> str:
    path = tmp_path / "lab.yaml"
    path.write_text(yaml.safe_dump(AT_LEAST | changes))
    return str(path)


def touch(raw: Path, *names: str) -> None:
    for name in names:
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).touch()


def test_every_dataset_yaml_loads():
    names = {path.stem for path in DATASETS.glob("*.yaml")}
    assert names >= {"mass", "dreams", "slpdb"}
    assert {load_cohort(name).name for name in names} == names


def test_the_subsets_of_mass(tmp_path):
    touch(tmp_path, *(f"SS{s}_EDF/01-0{s}-0001 PSG.edf" for s in range(1, 6)))
    found = {r.subset: r for r in find_recordings(MASS, tmp_path).recordings}
    assert {subset: (r.standard, r.epoch_seconds) for subset, r in found.items()} == {
        "SS1": ("aasm", 30), "SS2": ("rk", 20), "SS3": ("aasm", 30), "SS4": ("rk", 20), "SS5": ("rk", 20),
    }  # fmt: skip
    assert {r.derivations == MASS.signals for s, r in found.items() if s != "SS4"} == {True}
    assert re.fullmatch(found["SS4"].derivations["ecg"][0].plus, "ECG ECGII")
    assert all(r.derivations["eeg"] == MASS.signals["eeg"] for r in found.values())
    assert {r.recording: r.subject for r in found.values()} == {f"01-0{s}-0001": f"01-0{s}-0001" for s in range(1, 6)}


def test_recordings_are_found_at_any_depth(tmp_path):
    touch(tmp_path, "a/b/01-01-0002 PSG.edf", "01-01-0001_PSG.edf", "01-01-0001 Base.edf", "readme.txt",
          "._01-01-0003 PSG.edf", "01-06-0001 PSG.edf", "01-01-0001 PSG.edf.part")  # fmt: skip
    (tmp_path / "01-03-0001 PSG.edf").mkdir()
    assert [r.recording for r in find_recordings(MASS, tmp_path).recordings] == ["01-01-0001", "01-01-0002"]


def test_the_four_names_of_a_scoring_file(tmp_path):
    names = [f"01-01-0001{end}" for end in (" Base.edf", " Annotations.edf", "_Annotations.edf", "_Base.edf")]
    touch(tmp_path, "01-01-0001 PSG.edf")
    for name in reversed(names):  # the first of the list that exists is read
        touch(tmp_path, name)
        assert find_recordings(MASS, tmp_path).recordings[0].scoring_file() == tmp_path / name


def test_a_missing_scoring_file_is_reported_with_the_names_tried(tmp_path):
    touch(tmp_path, "a/01-01-0001 PSG.edf", "b/01-01-0001 Base.edf")
    files = find_recordings(MASS, tmp_path).recordings[0]
    assert files.scoring_file() is None
    message = str(files.missing("scoring", files.scoring_names))
    assert re.search(r"a/01-01-0001 PSG\.edf: has no scoring file beside it \(01-01-0001 Base\.edf", message)


def test_a_recording_found_twice_is_reported_and_the_others_are_found(tmp_path):
    touch(tmp_path, "a/01-01-0001 PSG.edf", "b/01-01-0001 PSG.EDF", "b/01-01-0002 PSG.edf")
    found = find_recordings(MASS, tmp_path)
    assert [r.recording for r in found.recordings] == ["01-01-0002"]
    ((recording, _, why, linked),) = found.unclear
    assert (recording, linked) == ("01-01-0001", False)
    assert re.search(r"a/01-01-0001 PSG\.edf: .*b/01-01-0001 PSG\.EDF has this name too; keep one", why)


def test_links_are_followed_and_broken_links_are_reported(tmp_path):
    raw, elsewhere = tmp_path / "raw", tmp_path / "elsewhere"
    touch(elsewhere, "01-01-0001 PSG.edf", "01-01-0001 Base.edf")
    raw.mkdir()
    (raw / "SS1").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(raw)  # a circle
    (raw / "01-01-0002 PSG.edf").symlink_to("not-fetched.edf")
    touch(raw, "01-01-0003 PSG.edf")
    (raw / "01-01-0003 Base.edf").symlink_to("not-fetched-either.edf")
    found = find_recordings(MASS, raw)
    first, third = found.recordings
    assert (first.recording, first.scoring_file()) == ("01-01-0001", raw / "SS1" / "01-01-0001 Base.edf")
    assert [(u.recording, u.linked) for u in found.unclear] == [("01-01-0002", True)]
    assert "01-01-0002 PSG.edf: is a link to not-fetched.edf, which does not exist" in found.unclear[0].why
    assert third.scoring_file() is None
    message = str(third.missing("scoring", third.scoring_names))
    assert "01-01-0003 Base.edf: is a link to not-fetched-either.edf, which does not exist" in message


def test_names_match_in_any_capitals_and_by_wildcards(tmp_path):
    """As Sleep-EDF names a scoring by the scorer: SC4001E0-PSG.edf, SC4001EC-Hypnogram.edf."""
    scoring = {"files": ["{who}*-hypnogram.edf"], "labels": {"W": "W"}}
    cohort = load_cohort(dataset(tmp_path, files=r"(?P<recording>(?P<who>s\[?\d+)n\d)\.edf", scoring=scoring))
    raw = tmp_path / "raw"
    touch(raw, "S1n1.EDF", "S1nC-Hypnogram.EDF", "s[2n1.edf", "s[2n-hypnogram.edf", "s2n1-hypnogram.edf")
    first, second = find_recordings(cohort, raw).recordings
    assert first.scoring_file() == raw / "S1nC-Hypnogram.EDF"
    assert second.scoring_file() == raw / "s[2n-hypnogram.edf"  # what a name holds is no wildcard
    touch(raw, "S1nB-hypnogram.edf")
    with pytest.raises(UserError, match=r"S1nB-hypnogram\.edf: S1nC-Hypnogram\.EDF fits S1\*-hypnogram\.edf too"):
        first.scoring_file()


def test_folders_of_scorings_match_in_any_capitals_and_accents(tmp_path):
    scoring = {"files": ["annotations/éveil/{recording}.eeg"], "labels": {"W": "W"}}
    cohort = load_cohort(dataset(tmp_path, files=r"(?P<recording>s\dn\d)\.edf", scoring=scoring))
    raw, folder = tmp_path / "raw", "Annotations/E\u0301VEIL"  # an accent of its own, as macOS has it
    touch(raw, "edfs/S1n1.edf", f"{folder}/s1N1.EEG", "edfs/s2n1.edf")
    (first,) = (r for r in find_recordings(cohort, raw).recordings if r.recording == "S1n1")
    assert first.scoring_file() == raw / folder / "s1N1.EEG"


def test_a_subject_in_other_capitals_is_the_same_one(tmp_path):
    cohort = load_cohort(dataset(tmp_path, files=r"(?P<recording>(?P<who>s\d)n\d)\.edf", subject="{who}"))
    touch(tmp_path / "raw", "S1n1.edf", "s1n2.edf", "s2n1.edf")
    found = find_recordings(cohort, tmp_path / "raw").recordings
    assert [r.subject for r in found] == ["S1", "S1", "s2"]


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(UserError, match="none: no such folder"):
        find_recordings(MASS, tmp_path / "none")
    with pytest.raises(UserError, match=r"no file here or below is named like \(\?P<recording>"):
        find_recordings(MASS, tmp_path)


def test_an_unknown_dataset_is_refused():
    with pytest.raises(UserError, match=r"^shh: no such config, here or in datasets/ \(which has: .*dreams.*mass"):
        load_cohort("shh")


def test_a_new_cohort_is_a_yaml_file(tmp_path):
    cohort = load_cohort(dataset(tmp_path, subject="{who}", subsets={"all": {"epoch_seconds": 20}}, standard="rk"))
    touch(tmp_path, "s1n1.edf", "s1n2.edf", "s22n1.edf")
    found = find_recordings(cohort, tmp_path).recordings
    assert [(r.recording, r.subject, r.subset, r.standard, r.epoch_seconds) for r in found] == [
        ("s1n1", "s1", "all", "rk", 20), ("s1n2", "s1", "all", "rk", 20), ("s22n1", "s22", "all", "rk", 20),
    ]  # fmt: skip
    assert found[0].scoring_names == ("s1n1.tal",)
    assert found[0].derivations == {"eeg": (Derivation("C3"),), "ecg": (Derivation("ECG"),)}


def test_a_recording_names_a_folder(tmp_path):
    cohort = load_cohort(dataset(tmp_path, files=r"(?P<recording>.*)\.edf"))
    touch(tmp_path, "night of Zoë (1).edf")
    assert find_recordings(cohort, tmp_path).recordings[0].recording == "night_of_Zoë__1_"


def test_scoring_and_beats_in_folders_of_their_own(tmp_path):
    """As NSRR keeps them: edfs/…/s1n1.edf and annotations/…/s1n1.xml."""
    beats = {"files": ["beats/{recording}.csv"], "format": "table", "column": "seconds"}
    scoring = {"files": ["annotations/{who}/{recording}.tal"], "labels": {"W": "W"}}
    cohort = load_cohort(dataset(tmp_path, scoring=scoring, beats=beats))
    raw = tmp_path / "raw"
    touch(raw, "edfs/a/s1n1.edf")
    files = find_recordings(cohort, raw).recordings[0]
    assert (files.scoring_file(), files.beat_file()) == (None, None)
    message = str(files.missing("scoring", files.scoring_names))
    assert message == (
        f"{raw}/edfs/a/s1n1.edf: has no scoring file beside it (annotations/s1/s1n1.tal), nor so in {raw}"
    )
    touch(raw, "annotations/s1/s1n1.tal", "beats/s1n1.csv")
    assert files.scoring_file() == raw / "annotations/s1/s1n1.tal"
    assert files.beat_file() == raw / "beats/s1n1.csv"
    touch(raw, "edfs/a/annotations/s1/s1n1.tal")  # beside the signals comes first
    assert files.scoring_file() == raw / "edfs/a/annotations/s1/s1n1.tal"


@pytest.mark.parametrize("scoring", ["none", None])
def test_an_unlabelled_cohort(tmp_path, scoring):
    cohort = load_cohort(dataset(tmp_path, scoring=scoring, signals={"ecg": [{"plus": "ECG"}]}))
    touch(tmp_path, "s1n1.edf")
    files = find_recordings(cohort, tmp_path).recordings[0]
    assert cohort.scoring is None
    assert (files.scoring_names, files.scoring_file()) == ((), None)
    assert files.derivations == {"ecg": (Derivation("ECG"),)}


def test_the_records_of_slpdb(tmp_path):
    touch(tmp_path, "slp01a.hea", "slp01b.hea", "slp67x.hea", "slp04.hea", "slp04.st", "README.md")
    found = find_recordings(load_cohort("slpdb_beats"), tmp_path).recordings
    assert [(r.recording, r.subject, r.standard, r.epoch_seconds) for r in found] == [
        ("slp01a", "slp01", "rk", 30), ("slp01b", "slp01", "rk", 30), ("slp04", "slp04", "rk", 30),
        ("slp67x", "slp67", "rk", 30),
    ]  # fmt: skip


VALUES = {"files": ["x"], "labels": {"0": "W"}, "format": "values"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": r"(?P<recording>.*"}, r"lab\.yaml: files: '\(\?P<recording>\.\*' is not a regular expression"),
        ({"signals": {"eeg": [{"plus": "C3["}]}}, r"lab\.yaml: signals\.eeg: 'C3\[' is not a regular expression"),
        (
            {"subsets": {"a": {"signals": {"ecg": [{"plus": "E", "minus": "("}]}}}},
            r"lab\.yaml: subsets\.a\.signals\.ecg: '\(' is not a regular expression",
        ),
        ({"files": r"\d+\.edf"}, r"lab\.yaml: files: needs a group \(\?P<recording>"),
        ({"subject": "{patient}"}, r"lab\.yaml: subject: '\{patient\}' uses a name that files has no group for"),
        ({"subset": "{0}"}, r"lab\.yaml: subset: '\{0\}' uses a name"),
        ({"subject": "{who.name}"}, r"lab\.yaml: subject: '\{who\.name\}' uses a name"),
        ({"scoring": {"files": ["{night}.tal"], "labels": {}}}, r"lab\.yaml: scoring\.files: '\{night\}\.tal' uses"),
        ({"scoring": {"files": ["x"], "labels": {"A": "N4"}}}, r"lab\.yaml: scoring\.labels\.A: 'N4' is none of W, N1"),
        ({"scoring": {"files": ["x"]}}, r"scoring\.labels: is missing"),
        ({"scoring": VALUES}, r"lab\.yaml: scoring\.value_seconds: must divide epoch_seconds"),
        ({"scoring": VALUES | {"value_seconds": 7}}, r"lab\.yaml: scoring\.value_seconds: must divide epoch_seconds"),
        ({"epoch_seconds": 0}, r"lab\.yaml: epoch_seconds: must be positive, is 0"),
        ({"subsets": {"a": {"epoch_seconds": -20}}}, r"lab\.yaml: epoch_seconds: must be positive, is -20"),
        ({"signals": {"eeg": []}}, r"lab\.yaml: signals\.eeg: lists no derivation"),
        (
            {"signals": {"eda": [{"plus": "P"}]}},
            r"lab\.yaml: signals\.eda: is not a kind of signal; there are eeg, ecg",
        ),
        ({"signals": {"beats": [{"plus": "P"}]}}, r"lab\.yaml: signals\.beats: is not a kind of signal"),
        ({"signals": None}, r"lab\.yaml: signals: names none of eeg, ecg; give one, or format none and beats"),
        ({"signals": {}}, r"lab\.yaml: signals: names none of eeg, ecg; give one, or format none and beats"),
        ({"signals": {"eog": [{"plus": "E"}]}}, r"lab\.yaml: signals: names none of eeg, ecg"),
        ({"rate_hz": 250}, r"lab\.yaml: rate_hz: files of format edf state their rates"),
        ({"format": "table", "rate_hz": -1}, r"lab\.yaml: rate_hz: must be positive, is -1"),
        ({"format": "fif"}, r"lab\.yaml: format: must be one of edf, wfdb, table, none; is 'fif'"),
        ({"format": "none"}, r"lab\.yaml: format: none is for heartbeats alone, but signals names ecg, eeg"),
        ({"format": "none", "signals": {}}, r"lab\.yaml: beats: is missing"),
        ({"scoring": "some"}, r"lab\.yaml: scoring: expected a section of keys, or none; got 'some'"),
        ({"scoring": {"files": [], "labels": {}}}, r"lab\.yaml: scoring\.files: lists no file"),
        (
            {"scoring": {"files": ["x"], "labels": {}, "format": "xml"}},
            r"scoring\.format: must be one of edf_annotatio",
        ),
        (
            {"scoring": {"files": ["x"], "labels": {}, "header_lines": 1}},
            r"scoring\.header_lines: unknown key",
        ),
        ({"beats": {"files": ["x"]}}, r"lab\.yaml: beats\.format: is missing"),
        (
            {"beats": {"files": ["x"], "format": "qrs"}},
            r"beats\.format: must be one of wfdb, table, text, apple_health, fit; is",
        ),
        ({"beats": {"files": ["{a}"], "format": "wfdb"}}, r"beats\.files: .\{a\}. uses a name"),
        ({"beats": {"files": ["a"], "format": "wfdb", "column": "t"}}, r"beats\.column: unknown key"),
        ({"signals": {"eeg": [{"minus": "A2"}]}}, r"signals\.eeg\[0\]\.plus: is missing"),
        (
            {"signals": {"eeg": [{"plus": "C3", "unit": "nV"}]}},
            r"signals\.eeg\[0\]\.unit: must be one of header, uV, mV, V, %, degC, arbitrary",
        ),
        ({"standard": "r&k"}, r"standard: must be one of aasm, rk; is 'r&k'"),
        ({"chanels": 3}, r"chanels: unknown key; did you mean"),
    ],
)
def test_errors_in_a_dataset_yaml_name_the_key(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        load_cohort(dataset(tmp_path, **changes))


def test_keys_of_earlier_versions_are_read_and_noted_once(tmp_path, capsys):
    derivations = {"eeg": [{"plus": "C3"}], "ecg": [{"plus": "ECG"}], "emg": [{"plus": "Chin"}]}
    subsets = {"a": {"standard": "rk", "ecg": [{"plus": "ECG2"}]}}
    path = tmp_path / "earlier.yaml"
    path.write_text(yaml.safe_dump(EARLIER | derivations | {"subsets": subsets}))
    cohort = load_cohort(str(path))
    current = AT_LEAST | {
        "signals": derivations,
        "subsets": {"a": {"standard": "rk", "signals": {"ecg": subsets["a"]["ecg"]}}},
    }
    assert cohort == load_cohort(dataset(tmp_path, **current))
    load_cohort(str(path))
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 3 and all(note.startswith("note: earlier.yaml: ") for note in notes)
    assert notes[0].endswith(
        "signals: '…' is now files: '…', and signals: has the derivations of eeg, ecg, … as its keys"
    )
    assert notes[1:] == [
        "note: earlier.yaml: eeg, ecg, emg are now keys of signals",
        "note: earlier.yaml: subsets.a: ecg are now keys of signals",
    ]
