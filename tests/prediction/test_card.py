"""Model cards: read and written, the scores that hold for an input, and the page."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sleepkd.errors import UserError
from sleepkd.prediction.card import (
    AVERAGED,
    ECG,
    HEARTBEATS,
    CardScore,
    ModelCard,
    TrainingNights,
    mean_kappa,
    read_card,
    write_card,
)

WATCH = CardScore("sleep_accel", AVERAGED, 4, 23, 0.46, 5.0, 0.42, 0.5, "nested cross-validation by subject, 3 seeds")
MINUTES = replace(WATCH, every_s=60.0, kappa=0.25)
THREE = replace(WATCH, classes=3, kappa=0.55)
WOMEN = replace(WATCH, group="women", kappa=0.9)
WOMEN_3 = replace(THREE, group="women", nights=1, kappa=0.7, low=None, high=None)
MEN = replace(WATCH, group="men", kappa=0.3)
STRAP = CardScore("slpdb", HEARTBEATS, 4, 12, 0.36)
SIMULATED = CardScore("simulated", HEARTBEATS, 4, 40, 0.5, real=False)
SIMULATED_ECG = CardScore("simulated", ECG, 4, 40, 0.5, real=False)
CARD = ModelCard(
    "night",
    ("W", "light", "deep", "REM"),
    481028,
    ("beats",),
    "Trained on real nights.",
    (TrainingNights("slpdb", 12, "labels", "ODC-By 1.0", "Y. Ichimaru, G. B. Moody"),),
    ("children",),
    (WATCH, MINUTES, THREE, WOMEN, WOMEN_3, MEN, STRAP, SIMULATED, SIMULATED_ECG),
    {"expected calibration error": 0.0412, "share": {"W": 0.1}},
    "python -m scripts.weights",
)


def test_a_card_that_was_written_is_read(tmp_path: Path) -> None:
    write_card(CARD, tmp_path)
    assert read_card(tmp_path / "card.json") == CARD
    assert read_card(tmp_path / "none.json") == ModelCard()
    score = json.loads((tmp_path / "card.json").read_text())["scores"][0]
    assert score["cohort"] == "sleep_accel" and score["every_s"] == 5.0 and score["real"] is True


def test_the_page_states_nights_licences_scores_and_limits(tmp_path: Path) -> None:
    write_card(CARD, tmp_path)
    page = (tmp_path / "card.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    watch = ["sleep_accel", "heart rate averaged every 5 s", "4", "23", "0.460", "0.420 to 0.500", WATCH.method]
    assert watch in rows and ["slpdb", "heartbeats", "4", "12", "0.360", "–", ""] in rows
    assert [row[0] for row in rows].count("sleep_accel") == 5  # three of all nights, two of groups
    people = [row for row in rows if row[1:2] in (["women"], ["men"])]
    assert people == [
        ["sleep_accel", "women", watch[1], "23", "0.900 (0.420 to 0.500)", "0.700"],
        ["sleep_accel", "men", watch[1], "23", "0.300 (0.420 to 0.500)", "–"],
    ]
    assert "| people | input | nights | kappa, 4 classes | kappa, 3 classes |" in page
    assert ["simulated", "ECG", "4", "40 simulated", "0.500", "–", ""] in rows
    assert ["slpdb", "12", "labels", "ODC-By 1.0", "Y. Ichimaru, G. B. Moody"] in rows
    assert "481,028 parameters" in page and "- children" in page and "python -m scripts.weights" in page
    assert "- expected calibration error: 0.0412" in page and "- share: W 0.1" in page


@pytest.mark.parametrize(
    ("kind", "every_s", "expected"),
    [
        (HEARTBEATS, None, (STRAP,)),  # the real nights, not the simulated ones
        (ECG, None, (SIMULATED_ECG,)),
        (AVERAGED, 5.0, (WATCH,)),  # 4 classes, all of the cohort
        (AVERAGED, 4.1, (WATCH,)),
        (AVERAGED, 10.4, (WATCH,)),
        (AVERAGED, 12.0, ()),  # between 5 and 60, far from both
        (AVERAGED, 30.0, (MINUTES,)),
        (AVERAGED, 120.0, (MINUTES,)),
        (AVERAGED, 300.0, ()),
        (AVERAGED, 1.0, ()),
        ("EEG", None, ()),
    ],
)
def test_the_scores_that_hold_for_an_input(kind: str, every_s: float | None, expected: tuple[CardScore, ...]) -> None:
    assert CARD.scores_on(kind, every_s) == expected


def test_the_nearest_cadence_of_every_cohort_counts() -> None:
    near, far = replace(WATCH, every_s=10.0), replace(WATCH, every_s=20.0)
    other = replace(near, cohort="mine", nights=1, kappa=0.22)
    card = ModelCard(scores=(far, near, other))
    assert card.scores_on(AVERAGED, 14.0) == (near, other)
    assert card.scores_on(AVERAGED, 14.3) == (far,)  # nearer by the logarithm: the middle is 14.1
    assert mean_kappa((near, other)) == pytest.approx((23 * 0.46 + 0.22) / 24) and np.isnan(mean_kappa(()))


def test_a_card_of_three_classes_has_scores_of_three() -> None:
    assert ModelCard(scores=(THREE,)).scores_on(AVERAGED, 5.0) == (THREE,)


def test_the_first_score_of_each_real_cohort_is_its_main_one() -> None:
    assert CARD.main_scores == [WATCH, STRAP]


def test_a_score_in_words() -> None:
    assert WATCH.text == "0.46 (0.42 to 0.50; sleep_accel, 23 nights, 4 classes)"
    assert SIMULATED.text == "0.50 (simulated, 40 simulated nights, 4 classes)"
    assert WATCH.input_text == "heart rate averaged every 5 s" and STRAP.input_text == "heartbeats"


def test_cards_of_version_0_1_are_read(tmp_path: Path) -> None:
    nights = {"simulated": {"a": 0.5, "b": 0.3}, "real": {"slp01a": 0.1, "slp02a": 0.3, "slp04": 0.5}}
    old = {"trained_on": "Some nights.", "real_hearts": "Well.", "classes": ["W", "NREM", "REM"], "made_by": "make"}
    path = tmp_path / "card.json"
    path.write_text(json.dumps(old | {"kappa_by_night": nights}))
    found = read_card(path)
    assert (found.trained_on, found.classes, found.made_by) == ("Some nights.", ("W", "NREM", "REM"), "make")
    assert found.scores_on(HEARTBEATS) == (CardScore("slpdb", HEARTBEATS, 3, 3, pytest.approx(0.3)),)
    assert found.scores_on(ECG) == (CardScore("simulated", ECG, 3, 2, pytest.approx(0.4), real=False),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a model card"),
        ("[]", "the file: expected keys and values"),
        ('{"colour": 1}', "colour: unknown key"),
        ('{"scores": [{"cohort": "a"}]}', r"scores\[0\]\.classes: is missing"),
        ('{"kappa_by_night": {"real": [1]}}', "is not a model card"),
    ],
)
def test_a_damaged_card_is_one_line(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text(content)
    with pytest.raises(UserError, match=rf"card\.json: .*{message}"):
        read_card(path)


@pytest.mark.parametrize("change", [{"every_s": None}, {"every_s": 0.0}, {"input": HEARTBEATS}])
def test_only_an_averaged_rate_has_a_cadence(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match="every_s: does not fit"):
        replace(WATCH, **change)
