import json
import statistics

import pytest
from sklearn.metrics import cohen_kappa_score, f1_score

from sleepkd.study.paper_report import TableProvenance, _verdict, write_table
from sleepkd.study.paper_table import table_of
from tests.evaluation.nights import made_up_night

NAMES = ("W", "NREM", "REM")
ABOUT = TableProvenance(
    command="python -m sleepkd.reproduce", store="store", cohort="mass", simulated=False, overlays=(), settings=(),
    split="one split: default", seeds=(0, 1), epochs={"ecg_base": 5, "ecg_base_long": 10, "feat_temp": 5},
    proposed="feat_temp", baseline="ecg_base", failed=("kd_temp, 3 classes, seed 0: exit code 1",),
)  # fmt: skip


def nights(skill: float, seed: int):
    """Six nights, of which the scored labels are the same whatever the skill."""
    return [
        made_up_night(f"r{i}", classes=3, skill=skill + 0.2 * seed, seed=i, standard=("aasm", "rk")[i % 2])
        for i in range(6)
    ]


@pytest.fixture(scope="module")
def results():
    skills = {"ecg_base": 0.5, "ecg_base_long": 0.7, "feat_temp": 1.2}
    return {NAMES: {row: {seed: nights(skill, seed) for seed in (0, 1)} for row, skill in skills.items()}}


def pooled(of, score, standard=None):
    chosen = [night for night in of if standard in (None, night.standard)]
    labels = [label for night in chosen for label in night.labels[night.scored]]
    return score(labels, [guess for night in chosen for guess in night.predictions[night.scored]])


def weighted_f1(labels, predicted):
    return f1_score(labels, predicted, average="weighted")


def test_scores_are_means_and_deviations_over_seeds(results):
    entry = table_of(results, ("ecg_base",), draws=100)[str(3)]["rows"]["feat_temp"]
    for part, standard in (("all", None), ("aasm", "aasm"), ("rk", "rk")):
        for name, score in (("weighted_f1", weighted_f1), ("kappa", cohen_kappa_score)):
            values = [pooled(of, score, standard) for of in results[NAMES]["feat_temp"].values()]
            found = entry["scores"][part][name]
            assert found["mean"] == pytest.approx(statistics.mean(values), abs=1e-12)
            assert found["sd"] == pytest.approx(statistics.stdev(values), abs=1e-12)
    by_night = [statistics.mean(pooled([night], weighted_f1) for night in nights(1.2, seed)) for seed in (0, 1)]
    assert entry["by_night"]["all"]["weighted_f1"]["mean"] == pytest.approx(statistics.mean(by_night), abs=1e-12)


def test_gains_are_over_both_baselines_and_per_standard(results):
    rows = table_of(results, ("ecg_base", "ecg_base_long"), draws=200)["3"]["rows"]
    assert list(rows["ecg_base"]["gains"]) == ["ecg_base_long"]
    for baseline in ("ecg_base", "ecg_base_long"):
        for part, standard in (("all", None), ("rk", "rk")):
            gain = rows["feat_temp"]["gains"][baseline][part]
            ours, theirs = (
                statistics.mean(pooled(of, weighted_f1, standard) for of in results[NAMES][row].values())
                for row in ("feat_temp", baseline)
            )
            found = gain["pooled"]["weighted_f1"]
            assert found["value"] == pytest.approx(ours - theirs, abs=1e-12)
            assert found["low"] < found["value"] < found["high"]
            assert gain["relative"] == pytest.approx((ours - theirs) / theirs, abs=1e-12)
            assert gain["tests"]["weighted_f1"]["better"] == (6 if part == "all" else 3)


def test_one_seed_has_no_deviation_and_a_missing_baseline_no_gain(results):
    one = {NAMES: {"feat_temp": {0: results[NAMES]["feat_temp"][0]}}}
    entry = table_of(one, ("ecg_base",), draws=100)["3"]["rows"]["feat_temp"]
    assert entry["scores"]["all"]["kappa"]["sd"] is None and entry["gains"] == {}


@pytest.mark.parametrize("about", [ABOUT, ABOUT.__class__(**{**vars(ABOUT), "simulated": True})])
def test_the_three_files_say_the_same(results, about, tmp_path):
    table = table_of(results, ("ecg_base", "ecg_base_long"), draws=100)
    write_table(tmp_path, table, about)
    assert json.loads((tmp_path / "table.json").read_text())["table"] == table
    text, page = ((tmp_path / f"table.{kind}").read_text(encoding="utf-8") for kind in ("md", "html"))
    scores = table["3"]["rows"]["feat_temp"]["scores"]["all"]["weighted_f1"]
    shown = f"{scores['mean']:.3f} ± {scores['sd']:.3f}"
    relative = f"+{100 * table['3']['rows']['feat_temp']['gains']['ecg_base']['all']['relative']:.1f} %"
    for document in (text, page):
        assert shown in document and relative in document and "+13.4 %" in document and "14.3" not in document
        assert ("another data set" in document) == about.simulated
        assert ("Simulated nights" in document) == about.simulated
        assert "Missing: kd_temp, 3 classes, seed 0: exit code 1" in document and "better" in document
    for block in text.split("\n\n"):  # Markdown tables: as many token_spans in every line
        assert len({line.count("|") for line in block.splitlines() if line.startswith("|")}) <= 1


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(0.01, 0.2, "better"), (-0.2, -0.01, "worse"), (-0.1, 0.1, "undecided"), (None, None, "undecided")],
)
def test_a_verdict_is_what_the_interval_says(low, high, says):
    assert _verdict({"value": 0.0, "low": low, "high": high}) == says
