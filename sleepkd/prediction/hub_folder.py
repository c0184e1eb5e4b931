"""Write a network as a folder for the Hugging Face Hub: README.md with metadata, weights, config.json."""

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from sleepkd.checkpoints.checkpoint import save_checkpoint, save_safetensors
from sleepkd.checkpoints.temperature import write_temperature
from sleepkd.config import to_dict
from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.files import write_text_atomically
from sleepkd.prediction.card import CARD_FILE, ModelCard
from sleepkd.prediction.model import Model

TAGS = ("sleep", "sleep-staging", "polysomnography", "wearable", "pytorch")
OF_INPUTS = {"ecg": "ecg", "beats": "heart-rate", "eeg": "eeg"}
"""Tags for what a network reads."""
USAGE = """```python
import sleepkd

model = sleepkd.load("hf://OWNER/NAME")
night = model.predict(ecg, fs=250)  # or an mne.io.Raw, a wfdb.Record, a pandas frame
print(night.hypnogram)
```"""


def write_hub_folder(model: Model, folder: Path, body: str) -> str:
    """Write README.md, the weights, config.json, and temperature and card of a network; returns a line about them.

    The weights are model.safetensors if safetensors is installed, else model.pt. body: the README below its metadata.
    `sleepkd.load` reads the folder, and the Hub's `upload_folder` takes it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trained = model.trained.checkpoint
    checkpoint = replace(trained, config=without_folders(trained.config), training={})
    if find_spec("safetensors") is not None:
        weights = folder / "model.safetensors"
        save_safetensors(weights, checkpoint)
    else:
        weights = folder / "model.pt"
        save_checkpoint(weights, checkpoint)
    if model.temperature != 1.0:
        write_temperature(weights, {"temperature": model.temperature})
    card = model.trained.path.with_name(CARD_FILE)
    if card.is_file():
        shutil.copyfile(card, folder / CARD_FILE)
    write_text_atomically(folder / "config.json", json.dumps(_config(model), indent=1) + "\n")
    metadata = yaml.safe_dump(_metadata(model), sort_keys=False, allow_unicode=True)
    write_text_atomically(folder / "README.md", f"---\n{metadata}---\n\n{body.rstrip()}\n\n## Usage\n\n{USAGE}\n")
    size = weights.stat().st_size / 1e6
    return f"{weights}: {size:.2f} MB; {folder / 'README.md'}"


def without_folders(settings: Any) -> Any:
    """Settings whose absolute paths are names alone: the folders of a person's machine are not published."""
    if isinstance(settings, dict):
        return {key: without_folders(value) for key, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [without_folders(value) for value in settings]
    return Path(settings).name if isinstance(settings, str) and Path(settings).is_absolute() else settings


def _config(model: Model) -> dict[str, Any]:
    """What the Hub and its users see of a network; `sleepkd.load` reads the weights' own metadata."""
    trained = model.trained
    return {
        "library_name": "sleepkd",
        "model_type": trained.config.model.name,
        "classes": list(CLASS_NAMES[trained.config.data.classes]),
        "inputs": {name: to_dict(item) for name, item in trained.inputs.items()},
        "temperature": model.temperature,
    }


def _metadata(model: Model) -> dict[str, Any]:
    """The metadata of README.md: library, tags, cohorts, licence, and kappa by cohort."""
    tags = [*TAGS, *(OF_INPUTS[name] for name in model.trained.inputs if name in OF_INPUTS)]
    found: dict[str, Any] = {"library_name": "sleepkd", "tags": tags}
    if model.card.training_nights:  # each cohort has a licence of its own, which the README lists
        found |= {"license": "other", "license_name": "of-the-training-nights", "license_link": "README.md"}
    if model.card.main_scores:
        found["metrics"] = ["cohen_kappa"]
        found["model-index"] = [{"name": model.card.network, "results": _results(model.card)}]
    return found


def _results(card: ModelCard) -> list[dict[str, Any]]:
    return [
        {
            "task": {"type": "sleep-staging", "name": f"sleep staging, {score.classes} classes, {score.input_text}"},
            "dataset": {"type": score.cohort, "name": f"{score.cohort}, {score.nights} nights"},
            "metrics": [{"type": "cohen_kappa", "name": "Cohen's kappa, mean over nights", "value": score.kappa}],
        }
        for score in card.main_scores
    ]
