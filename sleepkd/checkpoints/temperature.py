"""The temperature that was fitted for a checkpoint, kept beside it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from sleepkd.errors import UserError
from sleepkd.files import write_text_atomically


def temperature_path(checkpoint: Path) -> Path:
    """Where a checkpoint's temperature is stored: beside it."""
    return checkpoint.with_name("temperature.json")


def write_temperature(checkpoint: Path, fitted: dict[str, Any]) -> None:
    """Store what was fitted as JSON beside the checkpoint, with the digest of the file it belongs to."""
    content = {"checkpoint": checkpoint.name, "sha256": _digest(checkpoint), **fitted}
    write_text_atomically(temperature_path(checkpoint), json.dumps(content, indent=2) + "\n")


def read_temperature(checkpoint: Path) -> float:
    """The temperature stored for a checkpoint. Raises UserError if none is stored or it belongs to another."""
    path = temperature_path(checkpoint)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        temperature, digest = content["temperature"], content["sha256"]
    except FileNotFoundError:
        raise UserError(f"{path}: no stored temperature; fit one with evaluate.py --calibrate") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not a stored temperature; fit one again with evaluate.py --calibrate") from None
    if not isinstance(temperature, int | float) or not temperature > 0:
        raise UserError(f"{path}: the temperature must be a positive number, not {temperature!r}")
    if digest != _digest(checkpoint):
        raise UserError(
            f"{path}: was fitted for another checkpoint than {checkpoint.name}; fit one with evaluate.py --calibrate"
        )
    return float(temperature)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
