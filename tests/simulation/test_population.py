"""The population of simulated subjects: its spreads, prevalences, YAML file and documentation."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from launch import REPOSITORY
from sleepkd.errors import UserError
from sleepkd.simulation.autonomic import EFFECTS, HEALTHY, STAGE_OF_STATE, draw_autonomic
from sleepkd.simulation.population import Population, read_population
from sleepkd.simulation.subject import draw_subject


def draw(population: Population, age: float = 40, n: int = 300) -> list:
    return [draw_autonomic(np.random.default_rng(seed), population.scaled(), age, apneic=False) for seed in range(n)]


def test_subjects_vary_around_the_population_means() -> None:
    effects = EFFECTS[HEALTHY]
    tables = np.log(np.array([one.hf for one in draw(Population())]) / np.array(effects.hf)[STAGE_OF_STATE])
    assert np.abs(tables.mean(axis=0)).max() < 0.08
    np.testing.assert_allclose(tables[:, 1:4].std(axis=0), Population().stage_hf, rtol=0.15)
    levels = np.array([one.level for one in draw(Population(beta_blocker_share=0.0))])
    np.testing.assert_allclose(levels.mean(axis=0), np.array(effects.level)[STAGE_OF_STATE], atol=0.02)
    np.testing.assert_allclose(levels.std(axis=0), np.array(effects.level_spread)[STAGE_OF_STATE], rtol=0.15)


def test_difficulty_multiplies_the_differences_between_subjects() -> None:
    equal, varied = draw(Population(difficulty=0.0), n=20), draw(Population(difficulty=2.0))
    assert all(one.hf == tuple(np.array(EFFECTS[HEALTHY].hf)[STAGE_OF_STATE]) for one in equal)
    spread = np.log(np.array([one.hf for one in varied])).std(axis=0)[2]
    assert spread == pytest.approx(2 * Population().stage_hf, rel=0.15)


def test_prevalence_rises_with_age_and_beta_blockers_damp_heart_rate() -> None:
    population = Population(beta_blocker_share=0.2, fibrillation_share=0.1)
    old, young = draw(population, age=70), draw(population, age=30)
    for trait in ("beta_blocker", "atrial_fibrillation"):
        assert np.mean([getattr(one, trait) for one in old]) > np.mean([getattr(one, trait) for one in young]) > 0
    blocked = [one for one in old if one.beta_blocker]
    assert np.median([one.gain[2] for one in blocked]) < 0.7 * np.median([one.gain[2] for one in young])


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.0, 0.0), (0.25, 0.12, 0.4), (1.0, 0.6, 1.0)])
def test_apnea_share_sets_the_prevalence_of_apnea(share: float, low: float, high: float) -> None:
    population = Population(apnea_share=share)
    subjects = [draw_subject(0, k, "SS3", population) for k in range(200)]
    assert low <= np.mean([one.apnea_index >= 5 for one in subjects]) <= high
    assert {one.apnea_arousal for one in subjects} != {population.apnea_arousal}


def test_documentation_lists_every_key_and_default() -> None:
    document = (REPOSITORY / "docs" / "simulation.md").read_text(encoding="utf-8")
    assert yaml.safe_load(document.split("```yaml")[1].split("```")[0]) == asdict(Population())


def test_yaml_file_overrides_the_keys_it_names(tmp_path: Path) -> None:
    path = tmp_path / "population.yaml"
    path.write_text("stage_hf: 0.1\nfibrillation_share: 0.5\n")
    assert read_population(path) == replace(Population(), stage_hf=0.1, fibrillation_share=0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stage_hf: -1", "stage_hf: must be 0 or more, is -1"),
        ("apnea_share: 1.5", "apnea_share: must be from 0 to 1, is 1.5"),
        ("stage_hv: 1", "stage_hv: unknown key; did you mean stage_hf"),
    ],
)
def test_error_names_the_key_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "population.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_population(path)
