"""Write docs/settings.md: every setting with its default, from the dataclasses that define them.

python -m scripts.settings_table            # tests/test_docs.py checks that the page is up to date
"""

import dataclasses
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from sleepkd.data.counts_input import CountsInput
from sleepkd.data.data_settings import AugmentConfig, DataConfig, Source
from sleepkd.data.inputs import BeatsInput, SignalInput
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.files import write_text_atomically
from sleepkd.losses import LOSSES
from sleepkd.losses.loss import LinearSchedule
from sleepkd.models import NETWORKS
from sleepkd.models.utime import UTimeSettings
from sleepkd.settings import RENAMED_KEYS, Config, DistillConfig, StageConfig, TrainConfig, TrustConfig

SIGNAL_DEFAULTS = {
    "rate": "the stored rate",
    "normalisation": "of the kind of signal, else `data.normalisation`",
    "clip": "`data.clip`",
    "polarity": "`data.ecg_polarity`",
    "alignment": "`data.alignment`",
    "scale": "of the kind of signal",
    "centre": "of the kind of signal",
}
"""Where the settings of a signal take their defaults from, see `SignalInput.defaults`."""
PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"


def sections() -> Iterator[tuple[str, str, type]]:
    """(heading, prefix of the keys, dataclass) of every part of a config."""
    yield "The run", "", Config
    yield "Stage", "stage.", StageConfig
    samples = [name for name, kind in SIGNAL_KINDS.items() if kind.stored_as == "samples"]
    yield f"A signal: {', '.join(samples)}", "stage.inputs.<signal>.", SignalInput
    yield "Heartbeats", "stage.inputs.beats.", BeatsInput
    yield "Movement", "stage.inputs.motion.", CountsInput
    yield "Data", "data.", DataConfig
    yield "Several stores: entries of `data.nights`", "data.nights[].", Source
    yield "Augmentation", "data.augment.", AugmentConfig
    for name, network in NETWORKS.items():
        yield f"Model {name}", "model.", network.settings
    yield "Model night, `encoder: utime`", "model.utime.", UTimeSettings
    for name, loss in LOSSES.items():
        yield f"Loss {name}", f"loss.{name}.", loss.Settings
    yield "A scheduled weight", "loss.<name>.weight.", LinearSchedule
    yield "Distillation", "distill.", DistillConfig
    yield "Trust in the teacher", "distill.trust.", TrustConfig
    yield "Training", "train.", TrainConfig


def page() -> str:
    """The page as Markdown."""
    lines = [
        "# Settings",
        "",
        "Every key of a config, its default and its meaning. Made from the code by `python -m scripts.settings_table`.",
        "A key that does not exist is refused. Keys of earlier versions are read with a note:",
        ", ".join(f"`{old}` is `{new}`" for old, new in RENAMED_KEYS.items()) + ".",
    ]
    for heading, prefix, kind in sections():
        rows = list(_rows(prefix, kind))
        if rows:
            lines += ["", f"## {heading}", "", "| key | default | choices | meaning |", "|---|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _rows(prefix: str, kind: type) -> Iterator[str]:
    """A row per setting that is not a section of its own."""
    hints, meanings = typing.get_type_hints(kind), _meanings(kind)
    for field in dataclasses.fields(kind):
        default = _default(field)
        if dataclasses.is_dataclass(default):
            continue
        shown = SIGNAL_DEFAULTS[field.name] if kind is SignalInput else _shown(default)
        choices = ", ".join(f"`{choice}`" for choice in _choices(hints[field.name]))
        meaning = meanings.get(field.name, "").replace("|", "\\|")
        yield f"| `{prefix}{field.name}` | {shown} | {choices} | {meaning} |"


def _default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _shown(value: Any) -> str:
    if value is dataclasses.MISSING:
        return "required"
    if value is None:
        return "from `data`"
    if isinstance(value, tuple):
        value = _lists(value)
    return f"`{value}`" if str(value) else '`""`'


def _lists(value: Any) -> Any:
    return [_lists(item) for item in value] if isinstance(value, tuple) else value


def _choices(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)
    return next((found for inner in typing.get_args(hint) if (found := _choices(inner))), ())


def _meanings(kind: type) -> dict[str, str]:
    """{setting: meaning} from lines "name, name: meaning" of the docstrings of a dataclass and its bases."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        names = {field.name for field in dataclasses.fields(base)} if dataclasses.is_dataclass(base) else set()
        listed = "|".join(sorted(names))
        text = " ".join((base.__doc__ or "").split())
        parts = re.split(rf"(?:^|(?<=[.;] ))((?:(?:{listed})(?:, | and )?)+): ", text) if names else [text]
        for keys, meaning in zip(parts[1::2], parts[2::2], strict=False):
            for key in re.split(r", | and ", keys):
                found[key] = meaning.strip().rstrip(";").strip()
    return found


def main() -> None:
    """Write the page."""
    write_text_atomically(PAGE, page())
    print(PAGE)


if __name__ == "__main__":
    main()
