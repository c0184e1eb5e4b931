from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import wfdb

from sleepkd.cohorts.labels import LABELS, LabelLayout
from sleepkd.cohorts.labels.edf_annotations import read_edf_annotations
from sleepkd.cohorts.labels.scored import label_index
from sleepkd.cohorts.labels.values import ValuesLayout, read_values
from sleepkd.cohorts.labels.wfdb_stages import read_wfdb_stages
from sleepkd.cohorts.layout import load_cohort
from sleepkd.errors import UserError
from tests.cohorts.raw import DREAMS, START, channel, needs_dreams, write_psg, write_scoring

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # of wfdb

MASS = load_cohort("mass").scoring
DREAMS_LAYOUT = load_cohort("dreams").scoring


def read(tmp_path, annotations, epoch_seconds=30.0, start=START):
    return read_edf_annotations(write_scoring(tmp_path / "Base.edf", annotations, start), MASS, epoch_seconds)


def assert_sleep_epochs(hypnogram, onset_s, duration_s, labels):
    np.testing.assert_allclose(hypnogram.onset_s, onset_s, rtol=0, atol=1e-9)
    np.testing.assert_allclose(hypnogram.duration_s, duration_s, rtol=0, atol=1e-9)
    assert hypnogram.labels.tolist() == labels
    assert hypnogram.labels.dtype == np.int8


def test_every_mass_label_and_the_fraction_of_the_first_onset(tmp_path):
    texts = ("?", "W", "1", "2", "3", "4", "R", "?")
    onsets = [3.2415 + 30 * i for i in range(8)]
    scoring = read(tmp_path, [(t, 30.0, f"Sleep stage {text}") for t, text in zip(onsets, texts, strict=True)])
    assert_sleep_epochs(scoring.hypnogram, onsets, [30.0] * 8, [-1, 0, 1, 2, 3, 3, 4, -1])
    assert (scoring.start.date, scoring.start.time, scoring.start.offset_s) == (START.date(), START.time(), 0)
    assert scoring.ignored == {}


def test_a_run_of_sleep_epochs_in_one_annotation_is_expanded(tmp_path):
    annotations = [(0.5, 60.0, "Sleep stage 2"), (60.5, 20.0, "Sleep stage W"), (80.5, None, "Sleep stage R")]
    scoring = read(tmp_path, annotations, epoch_seconds=20.0)
    assert_sleep_epochs(
        scoring.hypnogram, [0.5, 20.5, 40.5, 60.5, 80.5], [20.0] * 5, [2, 2, 2, 0, 4]
    )  # no duration: one sleep epoch


def test_other_annotations_are_counted_and_ignored(tmp_path):
    scoring = read(
        tmp_path,
        [
            (1.0, 30.0, "Sleep stage W"),
            (5.0, 1.0, "Spindle"),
            (9.0, 1.0, "Spindle"),
            (31.0, 30.0, " Sleep stage 1 "),
            (40.0, None, "Lights off"),
        ],
    )
    assert_sleep_epochs(scoring.hypnogram, [1.0, 31.0], [30.0, 30.0], [0, 1])
    assert scoring.ignored == {"Spindle": 2, "Lights off": 1}


def test_non_ascii_bytes_do_not_stop_the_reader(tmp_path):
    path = write_scoring(tmp_path / "Base.edf", [(0.25, 30.0, "Sleep stage 2"), (9.5, 1.0, "bruit XXX")])
    path.write_bytes(path.read_bytes().replace(b"XXX", b"\xe9\x80\xff"))
    scoring = read_edf_annotations(path, MASS, 30.0)
    assert_sleep_epochs(scoring.hypnogram, [0.25], [30.0], [2])
    assert scoring.ignored == {"bruit é\x80ÿ": 1}


def test_invalid_annotations_are_counted_and_decimal_commas_are_read(tmp_path):
    path = write_scoring(tmp_path / "Base.edf", [(0.25, 30.0, "Sleep stage 2"), (30.25, 30.0, "Sleep stage W")])
    path.write_bytes(
        path.read_bytes().replace(b"+0.25\x1530", b"+0,25\x1530").replace(b"+30.25\x1530", b"x30.25\x1530")
    )
    scoring = read_edf_annotations(path, MASS, 30.0)
    assert_sleep_epochs(scoring.hypnogram, [0.25], [30.0], [2])
    assert scoring.remarks == ("WARNING: 1 annotations cannot be read (no onset, or a negative duration)",)


def test_annotations_out_of_order_are_sorted(tmp_path):
    scoring = read(tmp_path, [(31.0, 30.0, "Sleep stage 1"), (1.0, 30.0, "Sleep stage W")])
    assert_sleep_epochs(scoring.hypnogram, [1.0, 31.0], [30.0, 30.0], [0, 1])


@pytest.mark.filterwarnings("ignore:Creating EDF")
def test_a_start_at_a_fraction_of_a_second_is_kept(tmp_path):
    scoring = read(tmp_path, [(1.5, 30.0, "Sleep stage W")], start=START + timedelta(seconds=0.75))
    # EDF+ holds whole seconds in the header and the fraction in the first annotation.
    begin = datetime.combine(scoring.start.date, scoring.start.time)
    assert begin + timedelta(seconds=scoring.hypnogram.onset_s[0]) == START + timedelta(seconds=2.25)


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (
            [(1.0, 2.0, "Spindle"), (4.0, 2.0, "K-complex")],
            "holds no sleep stage of scoring.labels; it holds 'Spindle', 'K-comp",
        ),
        (
            [(1.0, 30.0, "Sleep stage W"), (1.0, 30.0, "Sleep stage 2")],
            "sleep stages overlap: 'Sleep stage 2' from 1 s for 30 s, 'Sleep stage W' from 1 s",
        ),
    ],
)
def test_a_file_without_a_valid_scoring_is_rejected(tmp_path, annotations, message):
    with pytest.raises(UserError, match=rf"Base\.edf: {message}"):
        read(tmp_path, annotations)


def test_a_file_of_signals_is_no_scoring_file(tmp_path):
    path = write_psg(tmp_path / "PSG.edf", [channel("ECG", np.zeros(512), 256)])
    with pytest.raises(UserError, match=r"PSG\.edf: holds no sleep stage of scoring.labels; it holds no text at all"):
        read_edf_annotations(path, MASS, 30.0)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.95])
def test_a_scoring_file_that_is_cut_off_is_rejected(tmp_path, kept):
    path = write_scoring(tmp_path / "Base.edf", [(30.0 * i, 30.0, "Sleep stage 2") for i in range(100)])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(UserError, match=r"Base\.edf: is (cut off|not an EDF)"):
        read_edf_annotations(path, MASS, 30.0)


def test_a_scoring_file_of_text_is_rejected(tmp_path):
    (tmp_path / "Base.edf").write_text("Sleep stage W\n" * 100)
    with pytest.raises(UserError, match=r"Base\.edf: is not an EDF: it begins with 'Sleep stage "):
        read_edf_annotations(tmp_path / "Base.edf", MASS, 30.0)


def values(tmp_path, text, epoch_seconds=20.0):
    path = tmp_path / "hypnogram.txt"
    path.write_bytes(text.encode("latin1"))
    return read_values(path, DREAMS_LAYOUT, epoch_seconds)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_values_of_5_s_make_sleep_epochs_of_20(tmp_path, newline):
    blocks = ["5 5 5 5", "2 2 2 2", "2 2 3 3", "1 0 1 0", "-1 -1 -1 -1", "4 4 4 4", "4 4 4"]
    lines = ["[Hypnogram] é", *" ".join(blocks).split(), ""]
    scoring = values(tmp_path, newline.join(lines))
    # One whose values differ is unscored, S3 and S4 are both N3, the last one is cut off and dropped.
    assert_sleep_epochs(scoring.hypnogram, [0, 20, 40, 60, 80, 100], [20.0] * 6, [0, 2, -1, 3, -1, 4])
    assert (scoring.start, scoring.ignored) == (None, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[Hypnogram]\n5\n5\n7\n5\n", "line 4: value '7' has no sleep stage in scoring.labels"),
        ("[Hypnogram]\n5\n5\n5\n", "holds 3 values, fewer than one sleep epoch"),
        ("", "holds 0 values"),
    ],
)
def test_invalid_values_are_rejected(tmp_path, text, message):
    with pytest.raises(UserError, match=rf"hypnogram\.txt: {message}"):
        values(tmp_path, text)


def test_no_such_file_of_values(tmp_path):
    with pytest.raises(UserError, match=r"none\.txt: cannot be read: No such file"):
        read_values(tmp_path / "none.txt", DREAMS_LAYOUT, 20.0)


# --- PhysioNet annotations ---

SLPDB = load_cohort("slpdb").scoring


def st(tmp_path, samples, notes, fs=250) -> Path:
    wfdb.wrann("slp99", "st", np.array(samples), ['"'] * len(samples), aux_note=notes, fs=fs, write_dir=str(tmp_path))
    return tmp_path / "slp99.st"


def test_stages_of_a_wfdb_file_lie_at_their_annotations(tmp_path):
    """The first at sample 1, one missing, apneas and leg movements beside the stage."""
    samples = [1, 7500, 15000, 30000, 37500, 45000, 52500, 60000]
    notes = ["W", "1 H", "2 HA L", "3", "4 LA LA", "R", "MT", "M"]
    path = st(tmp_path, samples, notes)
    scored = LABELS["wfdb"].read(path, SLPDB, 30.0)
    onsets = [1 / 250, 30, 60, 120, 150, 180, 210, 240]
    assert_sleep_epochs(scored.hypnogram, onsets, [30.0] * 8, [0, 1, 2, 3, 3, 4, -1, -1])
    assert (scored.start, scored.ignored) == (None, {})


def test_other_annotations_of_a_wfdb_file_are_counted(tmp_path):
    path = st(tmp_path, [10, 20, 30], ["2", "HA", "X"], fs=10)
    scored = read_wfdb_stages(path, SLPDB, 30.0)
    assert_sleep_epochs(scored.hypnogram, [1.0], [30.0], [2])
    assert scored.ignored == {"HA": 1, "X": 1}


def test_the_rate_of_a_wfdb_file_may_be_in_its_header(tmp_path):
    wfdb.wrann("a", "st", np.array([1, 600]), ['"'] * 2, aux_note=["W", "R"], write_dir=str(tmp_path))
    with pytest.raises(UserError, match=r"a\.st: states no sampling frequency, and no header a\.hea is beside it"):
        read_wfdb_stages(tmp_path / "a.st", SLPDB, 30.0)
    (tmp_path / "a.hea").write_text("a 0 20 1200\n")
    assert_sleep_epochs(read_wfdb_stages(tmp_path / "a.st", SLPDB, 30.0).hypnogram, [0.05, 30], [30.0] * 2, [0, 4])


def test_a_wfdb_file_without_sleep_stages_is_rejected(tmp_path):
    path = st(tmp_path, [10, 20], ["HA", "X"])
    with pytest.raises(UserError, match=r"slp99\.st: holds no sleep stage of scoring.labels; it holds 'HA', 'X'"):
        read_wfdb_stages(path, SLPDB, 30.0)
    whole = path.read_bytes()
    for size in (0, 1, len(whole) - 1, len(whole) - 2):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"slp99\.st: is cut off or no WFDB annotation file"):
            read_wfdb_stages(path, SLPDB, 30.0)
    with pytest.raises(UserError, match=r"none\.st: cannot be read: No such file"):
        read_wfdb_stages(tmp_path / "none.st", SLPDB, 30.0)


def test_every_format_has_the_same_interface(tmp_path):
    (tmp_path / "a.txt").write_text("0\n1\n")
    values = ValuesLayout(("a.txt",), {"0": "W", "1": "REM"}, "values", value_seconds=30)
    files = {
        "edf_annotations": (write_scoring(tmp_path / "a.edf", [(0, 60, "w"), (60, 60, "r")]), {"w": "W", "r": "REM"}),
        "wfdb": (st(tmp_path, [1, 7500], ["W", "R"]), SLPDB.labels),
    }
    found = [LABELS["values"].read(tmp_path / "a.txt", values, 30.0)]
    for name, (path, labels) in files.items():
        found.append(LABELS[name].read(path, LabelLayout((path.name,), labels, name), 60.0 if name[0] == "e" else 30.0))
    assert [scored.hypnogram.labels.tolist() for scored in found] == [[0, 4]] * 3


def test_label_indices():
    assert [label_index(name) for name in ("W", "N1", "N2", "N3", "REM", "unscored")] == [0, 1, 2, 3, 4, -1]


@needs_dreams
def test_the_real_scoring_is_90_sleep_epochs():
    path = DREAMS / "Hypnogram_excerpt3.txt"
    hypnogram = read_values(path, DREAMS_LAYOUT, 20.0).hypnogram
    assert len(hypnogram) == 90
    assert np.bincount(hypnogram.labels, minlength=5).tolist() == [8, 22, 56, 4, 0]
    assert (hypnogram.onset_s[-1], hypnogram.duration_s[-1]) == (1780, 20)
