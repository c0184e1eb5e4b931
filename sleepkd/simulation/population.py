"""The population that simulated subjects are drawn from: prevalences, and how much subjects differ."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

from sleepkd.config import from_dict, read_yaml, require

SPREADS = (
    "stage_effects", "stage_hf", "stage_breathing", "night_trend", "heart_rate_drift", "variability_drift", "position",
    "lag_seconds",
)  # fmt: skip
"""The keys that `difficulty` multiplies."""


@dataclass(frozen=True)
class Population:
    """Distributions of the traits of simulated subjects; a YAML file for `--population` may set each key.

    `*_share` keys are fractions of all subjects, 0 to 1.

    `stage_effects` and `night_trend` are factors on the fitted differences between subjects: in the effects of sleep
    stages, arousals and awakenings on heart rate, and in its trend over the night (`autonomic_tables.json`).

    `stage_hf` and `stage_breathing` are standard deviations, between subjects, of the logarithm of HF and of LF heart
    rate variability, and of the irregularity of breathing, in a sleep stage.

    `heart_rate_drift`, `variability_drift` and `position` are standard deviations of logarithms within a night.
    """

    apnea_share: float = 0.25
    apnea_index: float = 30.0  # apneas per hour of sleep: the median of subjects with sleep apnea
    apnea_arousal: float = 0.7  # mean fraction of apneas that end in an arousal (Berry & Gleeson 1997, Sleep 20:654)
    # Periodic limb movements: 5 % of young, up to a third of old people (Ancoli-Israel et al. 1991, Sleep 14:496).
    limb_movement_share: float = 0.12
    # Atrial fibrillation: several times as frequent above 55 years (Go et al. 2001, JAMA 285:2370).
    fibrillation_share: float = 0.01
    beta_blocker_share: float = 0.06
    stage_effects: float = 1.0
    stage_hf: float = 0.34
    stage_breathing: float = 0.24
    night_trend: float = 1.0
    heart_rate_drift: float = 0.012
    variability_drift: float = 0.33
    position: float = 0.010  # heart rate, from one body position to the next
    lag_seconds: float = 24.0  # standard deviation of the lag of autonomic behind cortical changes
    difficulty: float = 1.0  # multiplies all SPREADS

    def scaled(self) -> "Population":
        """The population with `difficulty` multiplied into the spreads, and itself 1."""
        return replace(self, **{name: self.difficulty * getattr(self, name) for name in SPREADS}, difficulty=1.0)

    def check(self) -> None:
        """Raise UserError naming the first key whose value is out of range."""
        for item in fields(self):
            value, is_share = getattr(self, item.name), item.name.endswith(("_share", "_arousal"))
            highest = 1.0 if is_share else float("inf")
            allowed = "from 0 to 1" if is_share else "0 or more"
            require(0 <= value <= highest and value < float("inf"), item.name, f"must be {allowed}, is {value}")


def read_population(path: Path) -> Population:
    """The population of a YAML file; missing keys keep their defaults.

    Raises UserError naming the key that is unknown or out of range.
    """
    population = from_dict(Population, read_yaml(path))
    population.check()
    return population
