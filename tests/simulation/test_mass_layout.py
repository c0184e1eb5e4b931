from collections import Counter

import pytest

from sleepkd.simulation.mass_layout import NIGHTS_BY_SUBSET, PlannedRecording, plan_recordings


def test_200_nights_have_the_composition_of_mass():
    assert Counter(recording.subset for recording in plan_recordings(200, 0)) == NIGHTS_BY_SUBSET


@pytest.mark.parametrize("nights", [5, 6, 10, 20, 57, 120])
def test_five_nights_or_more_hold_every_subset_in_proportion(nights):
    counts = Counter(recording.subset for recording in plan_recordings(nights, 0))
    assert set(counts) == set(NIGHTS_BY_SUBSET) and sum(counts.values()) == nights
    for subset, count in counts.items():
        assert abs(count - nights * NIGHTS_BY_SUBSET[subset] / 200) < 1.5


def test_a_longer_cohort_begins_with_the_same_recordings():
    assert plan_recordings(60, 4)[:23] == plan_recordings(23, 4)


def test_identifiers_are_unique_and_ss3_skips_two_numbers():
    recordings = plan_recordings(200, 0)
    identifiers = {recording.identifier for recording in recordings}
    assert len(identifiers) == 200
    assert not {"01-03-0043", "01-03-0049"} & identifiers
    assert "01-03-0064" in identifiers and "01-05-0026" in identifiers


def test_eeg_references_and_earlobe_electrodes_are_those_of_mass():
    recordings = plan_recordings(200, 0)
    earlobes = {(r.subset, r.earlobe) for r in recordings}
    assert earlobes == {("SS1", "A2"), ("SS2", "A2"), ("SS2", "A1"), ("SS3", "A2"), ("SS4", "A2"), ("SS5", "A2")}
    references = {subset: {r.reference for r in recordings if r.subset == subset} for subset in NIGHTS_BY_SUBSET}
    assert references == {"SS1": {"CLE", "LER"}, "SS2": {"CLE"}, "SS3": {"LER"}, "SS4": {"CLE"}, "SS5": {"LER"}}
    assert {r.subset for r in recordings if r.standard == "aasm"} == {"SS1", "SS3"}


def test_channels_by_subset():
    ss3, ss4 = (PlannedRecording(0, subset, "", "CLE", "A2") for subset in ("SS3", "SS4"))
    assert ss4.electrodes("full") == ["C3", "C4", "O1", "O2", "A2"]
    assert ss4.leads("full") == ["ECGI", "ECGII", "ECGIII"] and ss4.leads("needed") == ["ECGII"]
    assert ss3.electrodes("full") == ["F3", "F4", "C3", "C4", "O1", "O2", "A2"] and ss3.leads("full") == ["ECGI"]
    assert ss3.electrodes("needed") == ["C3", "C4", "A2"]
