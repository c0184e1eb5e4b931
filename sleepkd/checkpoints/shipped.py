"""The networks that ship with sleepkd: their names, and the paths of their checkpoints.

`predict --checkpoint`, `sleepkd.load`, `stage.start_from` and `stage.teacher` all find them here.
"""

from pathlib import Path

from sleepkd.settings import SHIPPED_NAME

WEIGHTS = Path(__file__).parents[1] / "weights"
SHIPPED = "night"
"""The name of the network that ships with sleepkd, the default of several."""


def shipped_networks() -> list[str]:
    """The names of the networks that ship with sleepkd, the default first."""
    names = {path.stem for path in WEIGHTS.glob("*/*.pt") if path.stem == path.parent.name} - {SHIPPED}
    return [SHIPPED, *sorted(names)]


def shipped_checkpoint(name: str = SHIPPED) -> Path:
    """The path of a network that ships with sleepkd."""
    return WEIGHTS / name / f"{name}.pt"


def find_shipped(name: str) -> Path | None:
    """The path of a network that ships, by its own name or as "shipped" (the default one); None for any other name."""
    if name == SHIPPED_NAME:
        return shipped_checkpoint()
    return shipped_checkpoint(name) if name in shipped_networks() else None
