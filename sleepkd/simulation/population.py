"""Whom a cohort is drawn from: what its sleepers have, and how far they differ from one another."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

from sleepkd.config import from_dict, read_yaml, require


@dataclass(frozen=True)
class Population:
    """The distributions that a YAML may change (`--population`); shares are of all sleepers.

    Spreads are standard deviations of logarithms, between sleepers for the `stage_…` ones: how far the size (and, where
    it is small, the sign) of what a sleep stage does to a quantity differs from one person to another. They are set so
    that the judges of `benchmarks/simulation.py` find what they find in people; `difficulty` multiplies all of them.
    """

    apnea_share: float = 0.25
    apnea_index: float = 18.0  # per hour of sleep, the median of those who have it
    apnea_arousal: float = 0.7  # the mean share of apneas that end in an arousal (Berry & Gleeson 1997, Sleep 20:654)
    # Restless legs: 5 % of the young, up to a third of the old (Ancoli-Israel et al. 1991, Sleep 14:496).
    limb_movement_share: float = 0.12
    fibrillation_share: float = 0.01  # of those above 55 several times as many (Go et al. 2001, JAMA 285:2370)
    beta_blocker_share: float = 0.06
    stage_heart_rate: float = 0.022
    stage_hf: float = 0.24
    stage_lf: float = 0.22
    stage_vlf: float = 0.24
    stage_breathing: float = 0.24  # of how irregular breathing is
    heart_rate_drift: float = 0.029
    variability_drift: float = 0.32
    position: float = 0.020  # of heart rate, at every turn
    lag_seconds: float = 24.0  # spread of how long the heart follows, or precedes, the brain
    difficulty: float = 1.0

    def scaled(self) -> "Population":
        """The same with `difficulty` in the spreads."""
        names = [name for name in SPREADS]
        return replace(self, **{name: self.difficulty * getattr(self, name) for name in names}, difficulty=1.0)

    def check(self) -> None:
        """Refuse impossible values by key."""
        for item in fields(self):
            value, is_share = getattr(self, item.name), item.name.endswith(("_share", "_arousal"))
            most = 1.0 if is_share else float("inf")
            said = "from 0 to 1" if is_share else "0 or more"
            require(0 <= value <= most and value < float("inf"), item.name, f"must be {said}, is {value}")


SPREADS = (
    "stage_heart_rate", "stage_hf", "stage_lf", "stage_vlf", "stage_breathing", "heart_rate_drift",
    "variability_drift", "position", "lag_seconds",
)  # fmt: skip


def read_population(path: Path) -> Population:
    """The population of a YAML; UserError names the key that is unknown or wrong."""
    population = from_dict(Population, read_yaml(path))
    population.check()
    return population
