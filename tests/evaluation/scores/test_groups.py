import dataclasses

import numpy as np
import pytest

from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.errors import UserError
from sleepkd.evaluation.scores.bootstrap import bootstrap_intervals
from sleepkd.evaluation.scores.groups import by_group, grouping, read_participants
from tests.evaluation.nights import made_up_night

NAMES = CLASS_NAMES[4]

pytestmark = pytest.mark.filterwarnings("error")

PARTICIPANTS = "participant_id\tage\tsex\tahi\tweight_kg\nsub-a\t39.5\tF\t2\t60\nb\t60\tM\t17\tn/a\nc\t\tF\t30\t80\n"


def test_groups_from_participants(tmp_path):
    path = tmp_path / "participants.tsv"
    path.write_text(PARTICIPANTS)
    participants = read_participants(path)
    nights = [made_up_night(name, n=50, seed=i, subset="SS1") for i, name in enumerate("abcd")]
    columns = grouping(nights, participants)
    assert columns["age"] == ["under 40", "60 and over", "n/a", "n/a"]
    assert columns["sex"] == ["F", "M", "F", "n/a"]
    assert columns["ahi"] == ["< 5 /h", "15 to 30 /h", "≥ 30 /h", "n/a"]
    assert "weight_kg" not in columns
    table = by_group(nights, NAMES, participants, draws=200)
    assert set(table) == {"age", "sex", "ahi"}  # all nights have one standard and one subset
    assert table["sex"]["F"]["recordings"] == 2
    alone = bootstrap_intervals(np.array([nights[1].confusion]), ["b"], draws=200)
    assert table["sex"]["M"]["pooled"]["kappa"]["value"] == alone["pooled"]["kappa"]["value"]


def test_groups_of_a_simulated_cohort_are_named_by_recording(tmp_path):
    path = tmp_path / "participants.tsv"
    path.write_text("recording\tsubset\tage\tapnea_index\nr1\tSS9\t70.1\t0.4\nr2\tSS9\t20\t31\n")
    nights = [made_up_night("r1", subject="x"), made_up_night("r2", subject="y")]
    columns = grouping(nights, read_participants(path))
    assert columns["subset"] == ["SS1", "SS1"]  # from the night, not from the file
    assert columns["age"] == ["60 and over", "under 40"]
    assert columns["apnea_index"] == ["< 5 /h", "≥ 30 /h"]


def test_groups_by_input():
    inputs = ("heartbeats", "averaged heart rate, 3 to 8 s", "heartbeats")
    nights = [dataclasses.replace(made_up_night(f"r{i}", seed=i), input=x) for i, x in enumerate(inputs)]
    table = by_group(nights, NAMES, draws=50)
    assert {group: found["recordings"] for group, found in table["input"].items()} == {
        "averaged heart rate, 3 to 8 s": 1,
        "heartbeats": 2,
    }


@pytest.mark.parametrize("content", [None, "", "participant_id\tage\n", "id\tage\na\t3\n"])
def test_an_invalid_participants_file_is_named(tmp_path, content):
    path = tmp_path / "participants.tsv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"participants\.tsv"):
        read_participants(path)


def sleepers() -> list:
    nights = [made_up_night(name, n=50, seed=i) for i, name in enumerate("abcd")]
    facts = [(39.0, "F"), (40.0, "M"), (71.5, "M"), (None, None)]
    return [dataclasses.replace(night, age=age, sex=sex) for night, (age, sex) in zip(nights, facts, strict=True)]


def test_age_and_sex_of_the_store_are_groups():
    nights = sleepers()
    table = by_group(nights, NAMES, draws=50)
    assert {name: [found["recordings"] for found in groups.values()] for name, groups in table.items()} == {
        "age": [1, 1, 1, 1],
        "sex": [1, 2, 1],
    }
    assert list(table["age"]) == ["under 40", "40 to 59", "60 and over", "n/a"]
    assert list(table["sex"]) == ["F", "M", "n/a"]
    assert by_group([nights[3], made_up_night("e")], NAMES, draws=50) == {}


def test_a_column_of_the_participants_replaces_that_of_the_store():
    columns = grouping(sleepers(), {"a": {"Age": "61"}, "b": {"Age": "20"}})
    assert columns["Age"] == ["60 and over", "under 40", "n/a", "n/a"] and "age" not in columns
    assert columns["sex"] == ["F", "M", "M", "n/a"]  # which they lack
