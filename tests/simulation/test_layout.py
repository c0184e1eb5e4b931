from collections import Counter

import pytest

from sleepkd.simulation.layout import NIGHTS, Recording, plan


def test_two_hundred_nights_are_divided_as_in_mass():
    assert Counter(recording.subset for recording in plan(200, 0)) == NIGHTS


@pytest.mark.parametrize("nights", [5, 6, 10, 20, 57, 120])
def test_every_subset_is_there_from_five_nights_on_in_proportion(nights):
    counts = Counter(recording.subset for recording in plan(nights, 0))
    assert set(counts) == set(NIGHTS) and sum(counts.values()) == nights
    for subset, count in counts.items():
        assert abs(count - nights * NIGHTS[subset] / 200) < 1.5


def test_a_longer_cohort_begins_with_the_same_recordings():
    assert plan(60, 4)[:23] == plan(23, 4)


def test_ss3_skips_two_numbers_and_no_identifier_comes_twice():
    recordings = plan(200, 0)
    identifiers = {recording.identifier for recording in recordings}
    assert len(identifiers) == 200
    assert not {"01-03-0043", "01-03-0049"} & identifiers
    assert "01-03-0064" in identifiers and "01-05-0026" in identifiers


def test_references_and_ears_are_those_of_mass():
    recordings = plan(200, 0)
    ears = {(r.subset, r.ear) for r in recordings}
    assert ears == {("SS1", "A2"), ("SS2", "A2"), ("SS2", "A1"), ("SS3", "A2"), ("SS4", "A2"), ("SS5", "A2")}
    references = {subset: {r.reference for r in recordings if r.subset == subset} for subset in NIGHTS}
    assert references == {"SS1": {"CLE", "LER"}, "SS2": {"CLE"}, "SS3": {"LER"}, "SS4": {"CLE"}, "SS5": {"LER"}}
    assert {r.subset for r in recordings if r.standard == "aasm"} == {"SS1", "SS3"}


def test_channels_by_subset():
    ss3, ss4 = (Recording(0, subset, "", "CLE", "A2") for subset in ("SS3", "SS4"))
    assert ss4.electrodes("full") == ["C3", "C4", "O1", "O2", "A2"]
    assert ss4.leads("full") == ["ECGI", "ECGII", "ECGIII"] and ss4.leads("needed") == ["ECGII"]
    assert ss3.electrodes("full") == ["F3", "F4", "C3", "C4", "O1", "O2", "A2"] and ss3.leads("full") == ["ECGI"]
    assert ss3.electrodes("needed") == ["C3", "C4", "A2"]
