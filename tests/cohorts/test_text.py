"""Text in any encoding, and tables of labels and of heartbeats."""

from pathlib import Path

import numpy as np
import pytest

from sleepkd.cohorts.beats.beat_table import BeatTableLayout, read_beat_table
from sleepkd.cohorts.labels.nsrr_xml import read_nsrr_xml
from sleepkd.cohorts.labels.scored import LabelLayout
from sleepkd.cohorts.labels.stage_table import StageTableLayout, read_stage_table
from sleepkd.cohorts.text import read_lines
from sleepkd.errors import UserError

LABELS = {"W": "W", "1": "N1", "2": "N2", "Éveil": "W"}
ENCODINGS = {
    "utf-8": lambda s: s.encode(),
    "with a mark": lambda s: s.encode("utf-8-sig"),
    "utf-16": lambda s: s.encode("utf-16"),
    "utf-16 without a mark": lambda s: s.encode("utf-16-le"),
    "latin-1": lambda s: s.encode("latin1"),
}


def put(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\r\r\n"])
def test_any_encoding_and_any_line_ends(tmp_path, encoding, newline):
    path = put(tmp_path / "a.txt", ENCODINGS[encoding](newline.join(["Éveil", "", "1", "", ""])))
    assert read_lines(path) == ["Éveil", "", "1"]


def table(tmp_path, content: str, **more):
    layout = StageTableLayout(files=("x",), labels=LABELS, **more)
    return read_stage_table(put(tmp_path / "a.csv", content), layout, 30.0)


def test_the_column_chooses_one_of_several_scorers(tmp_path):
    content = 'onset,anna,"berta, MD"\n0,W,1\n30,1,2\n'
    assert table(tmp_path, content, stage="anna").hypnogram.labels.tolist() == [0, 1]
    assert table(tmp_path, content, stage="berta, MD").hypnogram.labels.tolist() == [1, 2]
    with pytest.raises(UserError, match=r"a\.csv: has no column carla; it has onset, anna, berta, MD"):
        table(tmp_path, content, stage="carla")


def test_decimal_commas_blank_lines_and_runs(tmp_path):
    scored = table(tmp_path, "onset;duration;stage\n\n0,5;60;W\n\n60,5;30;2\n", delimiter=";", duration="duration")
    assert scored.hypnogram.onset_s.tolist() == [0.5, 30.5, 60.5]
    assert scored.hypnogram.labels.tolist() == [0, 0, 2]


@pytest.mark.parametrize("off_s", [0, 17])
@pytest.mark.parametrize(("before", "after", "word"), [("02", "03", "to"), ("01", "02", "to"), ("03", "02", "from")])
def test_a_change_of_the_clock_is_named(tmp_path, before, after, word, off_s):
    earlier = [(int(before) * 3600 - 30 * k + off_s) for k in range(4, 0, -1)]
    later = [int(after) * 3600 + 30 * k + off_s for k in range(4)]
    rows = [f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d},W" for s in (*earlier, *later)]
    with pytest.raises(UserError, match=rf"line 6: times jump .* by an hour .* changed {word} summer time \(daylight"):
        table(tmp_path, "\n".join(["onset,stage", *rows]), time="clock")


def test_an_unscored_hour_at_another_time_is_no_change_of_the_clock(tmp_path):
    rows = [f"05:59:{s:02d},W" for s in (0, 30)] + [f"07:00:{s:02d},W" for s in (0, 30)]
    assert len(table(tmp_path, "\n".join(["onset,stage", *rows]), time="clock").hypnogram) == 4


def test_a_clock_passes_midnight(tmp_path):
    scored = table(tmp_path, "onset,stage\n23:59:30,W\n00.00.00,1\n0:00:30.5,2\n", time="clock")
    assert scored.hypnogram.onset_s.tolist() == [0, 30, 60.5]
    assert (scored.start.date, scored.start.time.isoformat()) == (None, "23:59:30")
    assert table(tmp_path, "onset,stage\n11:59:30 PM,W\n12:00:00 AM,1\n", time="clock").start.time.hour == 23
    with pytest.raises(UserError, match=r"a\.csv: line 2: '25:00:00' is not a time of day"):
        table(tmp_path, "onset,stage\n25:00:00,W\n", time="clock")


def test_errors_in_a_table_name_the_line(tmp_path):
    with pytest.raises(UserError, match=r"a\.csv: line 3: 'soon' is no onset in seconds"):
        table(tmp_path, "onset,stage\n0,W\nsoon,W\n")
    with pytest.raises(UserError, match=r"a\.csv: line 3 has 1 columns, the header more"):
        table(tmp_path, "stage,onset\nW,0\nW\n")
    for odd in ("nan", "inf"):
        with pytest.raises(UserError, match=rf"a\.csv: line 2: '{odd}' is no onset in seconds"):
            table(tmp_path, f"onset,stage\n{odd},W\n")
    with pytest.raises(UserError, match=r"a\.csv: has no line that begins with 'Sleep Stage'"):
        table(tmp_path, "x\n", header="Sleep Stage")


def test_rows_without_a_sleep_stage_are_counted(tmp_path):
    content = "stage,onset,duration\nW,0,30\nlights off,n/a,n/a\n1,30,n/a\narousal,45\n"
    scored = table(tmp_path, content, duration="duration")
    assert scored.hypnogram.labels.tolist() == [0, 1]
    assert scored.ignored == {"lights off": 1, "arousal": 1}


def test_short_rows_are_warned_of(tmp_path):
    scored = table(tmp_path, "onset,stage\n0,W\n30\n60,1\n90,2\n120,2\n")
    assert scored.hypnogram.onset_s.tolist() == [0, 60, 90, 120]
    assert scored.remarks == ("WARNING: 1 rows are too short to hold a sleep stage, the first is line 3",)


def test_sleep_epochs_lie_by_their_numbers(tmp_path):
    scored = table(tmp_path, "Epoch,stage\n2,W\n3,1\n5,2\n6,2\n7,2\n", onset="epoch", time="sleep_epochs")
    assert scored.hypnogram.onset_s.tolist() == [30, 60, 120, 150, 180]
    for wrong in ("0", "1.5"):
        with pytest.raises(UserError, match=rf"a\.csv: line 2: '{wrong}' is not the number of a sleep epoch"):
            table(tmp_path, f"Epoch,stage\n{wrong},W\n", onset="epoch", time="sleep_epochs")


def test_white_space_in_column_names_does_not_matter(tmp_path):
    content = "onset,Duration [s],stage\n0,60,W\n"
    assert table(tmp_path, content, duration="Duration[s]").hypnogram.labels.tolist() == [0, 0]


XML = "<P><ScoredEvents><ScoredEvent><EventType>Stages|Stages</EventType><EventConcept>{}</EventConcept><Start>0</Start><Duration>60.0</Duration></ScoredEvent></ScoredEvents></P>"  # noqa: E501


def test_nsrr_is_read_safely(tmp_path):
    layout = LabelLayout(files=("x",), labels={"Wake|0": "W"})
    read = lambda content: read_nsrr_xml(put(tmp_path / "a.xml", content), layout, 30.0)  # noqa: E731
    assert read(XML.format("Wake|0")).hypnogram.labels.tolist() == [0, 0]
    with pytest.raises(UserError, match=r"a\.xml: declares a document type or entities"):
        read('<!DOCTYPE x [<!ENTITY a "aaaa">]>' + XML.format("&a;"))
    with pytest.raises(UserError, match=r"a\.xml: declares a document type or entities"):
        read(('<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x>' + XML.format("Wake|0")).encode("utf-16"))
    for odd in ("", "nan", "soon"):
        with pytest.raises(UserError, match=rf"a\.xml: ScoredEvent 1: its Start '{odd}' is not a number of seconds"):
            read(XML.format("Wake|0").replace("<Start>0", f"<Start>{odd}"))
    with pytest.raises(UserError, match=r"a\.xml: sleep stage 'Stage 9' is not in scoring\.labels"):
        read(XML.format("Stage 9"))
    with pytest.raises(UserError, match=r"a\.xml: is no XML: "):
        read("<P>")
    with pytest.raises(UserError, match=r"a\.xml: holds no ScoredEvent"):
        read("<P/>")


# --- beats ---


def beats(tmp_path, content: str, **more) -> np.ndarray:
    layout = BeatTableLayout(files=("x",), format="table", **more)
    return read_beat_table(put(tmp_path / "b.csv", content), layout).times


def test_intervals_without_and_with_times(tmp_path):
    assert beats(tmp_path, "rr\n1000\n900\n1100\n", column="rr", values="intervals", unit="ms").tolist() == [
        0,
        1,
        1.9,
        3,
    ]
    content = "t,rr\n1.0,1.0\n1.9,0.9\n50.0,0.8\n51.0,nan\n51.8,0.8\n"
    placed = beats(tmp_path, content, column="rr", values="intervals", time="t")
    np.testing.assert_allclose(placed, [0, 1, 1.9, 49.2, 50, 51, 51.8])
    with pytest.raises(UserError, match=r"b\.csv: line 3: has a blank interval and no times"):
        beats(tmp_path, "rr\n1\nnan\n1\n", column="rr", values="intervals")


def test_beats_in_samples_need_a_rate(tmp_path):
    content = "RPoint,Type\n256,1\n512,1\n"
    assert beats(tmp_path, content, column="RPoint", unit="samples", rate_hz=256).tolist() == [1, 2]
    with pytest.raises(UserError, match=r"beats\.unit: samples needs beats\.rate_hz"):
        beats(tmp_path, content, column="RPoint", unit="samples")


@pytest.mark.parametrize("cadence_s", [5, 30, 60])
def test_a_rate_of_any_cadence_gives_beats(tmp_path, cadence_s):
    content = "t,hr\n" + "".join(f"{t},60\n" for t in range(0, 601, cadence_s))
    given = {"column": "hr", "values": "rate", "time": "t"}
    np.testing.assert_allclose(beats(tmp_path, content, **given), np.arange(601))
    if cadence_s > 5:
        with pytest.raises(UserError, match="holds no beat"):
            beats(tmp_path, content, **given, longest_gap_seconds=20)
