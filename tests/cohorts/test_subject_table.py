"""Tables of subjects: NSRR's, BIDS' participants.tsv, the text of apnea_ecg; and the sections of the shipped YAML."""

import os
from pathlib import Path

import pytest

from launch import REPOSITORY
from sleepkd.cohorts.find import find_recordings
from sleepkd.cohorts.layout import load_cohort
from sleepkd.cohorts.sleeper import Sleeper
from sleepkd.cohorts.subject_table import SubjectTableLayout, find_sleeper, participants_layout
from sleepkd.errors import UserError

LAYOUT = SubjectTableLayout(("t.csv",), {"nsrrid": "{nsrrid}"}, "age_s1", "gender", {"1": "M", "2": "F"})
TABLE = "nsrrid,age_s1,gender,bmi\n200001,55,1,20\n200002,999,2,\n200003,41,3,\n200004\n200005,60,2\n200005,61,2\n"


def found(tmp_path: Path, nsrrid: str) -> Sleeper:
    (tmp_path / "t.csv").write_text(TABLE)
    return find_sleeper(tmp_path / "t.csv", LAYOUT, {"nsrrid": nsrrid})


def test_rows_of_a_table(tmp_path: Path) -> None:
    assert found(tmp_path, "200001") == Sleeper(55, "M")
    assert found(tmp_path, "00200001") == Sleeper(55, "M")
    assert found(tmp_path, "200004") == Sleeper()  # a row that ends before its age


@pytest.mark.parametrize(
    ("nsrrid", "expected", "remark"),
    [
        ("200002", (None, "F"), "WARNING: t.csv: '999' is no plausible age, so the age is unknown"),
        ("200003", (41, None), "WARNING: t.csv: '3' is neither F nor M, so the sex is unknown"),
        ("200005", (60, "F"), "WARNING: t.csv: 2 rows fit, with different ages or sexes: the first is taken"),
        ("7", (None, None), "t.csv has no row of nsrrid 7"),
    ],
)
def test_odd_rows_are_one_remark(
    tmp_path: Path, nsrrid: str, expected: tuple[float | None, str | None], remark: str
) -> None:
    assert found(tmp_path, nsrrid) == Sleeper(*expected, (remark,))


def test_a_changed_table_is_read_again(tmp_path: Path) -> None:
    assert found(tmp_path, "200001").age == 55
    (tmp_path / "t.csv").write_text(TABLE.replace("55", "56"))
    os.utime(tmp_path / "t.csv", ns=(1, 1))
    assert find_sleeper(tmp_path / "t.csv", LAYOUT, {"nsrrid": "200001"}).age == 56


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("nsrrid,age\n1,2\n")
    with pytest.raises(UserError, match=r"t\.csv: has no column age_s1; it has nsrrid, age"):
        find_sleeper(tmp_path / "t.csv", LAYOUT, {"nsrrid": "1"})


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("participant_id\tage\tsex", ({"participant_id": "{subject}"}, "age", "sex")),
        ("recording\tsubset\tage\tsex", ({"recording": "{recording}"}, "age", "sex")),
        ("participant_id\tGender", ({"participant_id": "{subject}"}, "", "gender")),
        ("participant_id\tgroup", None),
        ("id\tage", None),
    ],
)
def test_the_columns_of_a_participants_tsv(tmp_path: Path, header: str, expected: tuple | None) -> None:
    (tmp_path / "participants.tsv").write_text(header + "\n")
    layout = participants_layout(tmp_path / "participants.tsv")
    assert (layout and (layout.match, layout.age, layout.sex)) == expected


SHIPPED = [
    ("shhs", "shhs2-200001.edf", "datasets/shhs-harmonized-dataset-0.21.0.csv",
     "nsrrid,visitnumber,nsrr_age,nsrr_sex\n200001,1,55,male\n200001,2,60,male\n", (60, "M")),
    ("mesa", "polysomnography/edfs/mesa-sleep-0001.edf", "datasets/mesa-sleep-harmonized-dataset-0.7.0.csv",
     "nsrrid,nsrr_age,nsrr_sex\n1,90,female\n", (90, "F")),
    ("wsc", "wsc-visit2-10119-nsrr.edf", "datasets/wsc-harmonized-dataset-0.7.0.csv",
     "wsc_id,wsc_vst,nsrr_age,nsrr_sex\n10119,1,50,female\n10119,2,54,female\n", (54, "F")),
    ("ccshs", "ccshs-trec-1800005.edf", "datasets/ccshs-trec-dataset-0.8.0.csv",
     "nsrrid,age,male\n1800005,17.5,0\n", (17.5, "F")),
    ("cinc2018", "training/tr03-0005/tr03-0005.hea", "age-sex.csv", "Record,Age,Sex\ntr03-0005,62,M\n", (62, "M")),
    ("bids", "sub-07/eeg/sub-07_task-sleep_eeg.edf", "participants.tsv",
     "participant_id\tage\tsex\nsub-07\t31\tn/a\n", (31, None)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "recording", "table", "content", "expected"), SHIPPED)
def test_the_tables_of_shipped_cohorts(
    tmp_path: Path, name: str, recording: str, table: str, content: str, expected: tuple[float | None, str | None]
) -> None:
    for path in (tmp_path / recording, tmp_path / table):
        path.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / recording).touch()
    cohort = load_cohort(name)
    (files,) = find_recordings(cohort, tmp_path).recordings
    assert cohort.subjects and files.subject_table() is None
    (tmp_path / table).write_text(content)
    assert files.subject_table() == tmp_path / table
    assert find_sleeper(tmp_path / table, cohort.subjects, files.subject_texts) == Sleeper(*expected)


def test_a_table_beside_the_folder_of_polysomnographies(tmp_path: Path) -> None:
    (tmp_path / "polysomnography").mkdir()
    (tmp_path / "polysomnography" / "shhs1-200001.edf").touch()
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "shhs-harmonized-dataset-0.21.0.csv").touch()
    (files,) = find_recordings(load_cohort("shhs"), tmp_path / "polysomnography").recordings
    table = files.subject_table()
    assert table and table.resolve() == (tmp_path / "datasets" / "shhs-harmonized-dataset-0.21.0.csv").resolve()


APNEA_ECG = REPOSITORY.parent / "shared" / "data" / "apnea_ecg"


@pytest.mark.skipif(not APNEA_ECG.is_dir(), reason="the real nights (shared/data) are not here")
def test_the_text_of_apnea_ecg() -> None:
    cohort = load_cohort("apnea_ecg")
    assert cohort.subjects
    sleepers = {
        files.recording: find_sleeper(APNEA_ECG / cohort.subjects.files[0], cohort.subjects, files.subject_texts)
        for files in find_recordings(cohort, APNEA_ECG).recordings
    }
    assert sleepers["a01"] == Sleeper(51, "M") and sleepers["b01"] == Sleeper(44, "F")
    assert sleepers["x35"] == Sleeper(31, "M")
    assert len(sleepers) == 70 and all(sleeper.age and sleeper.sex for sleeper in sleepers.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("match: {id: '{recording}'}", None),
        ("match: {id: '{nobody}'}", r"subjects\.match\.id: '\{nobody\}' uses a name that files has no group for"),
        ("match: {}", r"subjects\.match: names no column"),
        ("match: {id: '{recording}'}, age: '', sex: ''", r"subjects\.age: names no column, nor does sex"),
        ("match: {id: '{recording}'}, sexes: {'1': X}", r"subjects\.sexes\.1: must be one of F, M; is 'X'"),
        ("match: {id: '{recording}'}, delimiter: ''", r"subjects\.delimiter: must be one character"),
    ],
)
def test_the_section_of_a_dataset_yaml(tmp_path: Path, change: str, message: str | None) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(
        "name: lab\nfiles: '(?P<recording>.*)\\.csv'\nformat: none\nbeats: {format: text, files: ['{recording}.csv']}\n"
        f"subjects: {{files: [t.csv], {change}}}\n"
    )
    if message is None:
        assert load_cohort(str(path)).subjects
        return
    with pytest.raises(UserError, match=message):
        load_cohort(str(path))
