"""The facts and hypnograms of all recordings of a store in one place, so that 10,000 nights open in a moment.

STORE/index.json         each recording's facts, where its sleep epochs are, and when its two files were written
STORE/index.<token>.npy  float64 (sleep epochs, 3): onset, duration, label of all recordings, one after another

It is made where it is missing, and made anew where a file that it was made of changed; whoever deletes it loses
nothing.
"""

import io
import json
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sleepkd.data.hypnogram import Hypnogram
from sleepkd.errors import UserError
from sleepkd.files import write_bytes_atomically, write_text_atomically

FACTS, EPOCHS = "index.json", "index.{}.npy"
VERSION = 1
Entry = tuple[dict[str, Any], Hypnogram]


def indexed(
    store: Path, recordings: Sequence[str], read: Callable[[str], tuple[dict[str, Any], Hypnogram]]
) -> dict[str, Entry]:
    """The facts, as JSON has them, and the hypnogram of every recording; read: how to get those of one from its files.

    A recording that cannot be read is left out. A store that cannot be written to goes without an index.
    """
    stamps = {name: _stamp(store / "recordings" / name) for name in recordings}
    entries, arrays = _load(store)
    found: dict[str, Entry] = {}
    stale = entries.keys() != stamps.keys()
    for name in recordings:
        entry = entries.get(name)
        if entry and entry["stamp"] == stamps[name]:
            rows = arrays[entry["first"] : entry["last"]]
            found[name] = (entry["facts"], Hypnogram(rows[:, 0], rows[:, 1], rows[:, 2].astype(np.int8)))
        else:
            stale = True
            try:
                found[name] = read(name)
            except UserError:  # said when it is asked for
                continue
    if stale:
        _write(store, found, stamps)
    return found


def _stamp(folder: Path) -> list[int]:
    """When the two files were last written, and how large they are."""
    return [value for name in ("recording.json", "hypnogram.tsv") for value in _when(folder / name)]


def _when(path: Path) -> tuple[int, int]:
    try:
        stat = os.stat(path)
    except OSError:
        return (0, 0)
    return stat.st_mtime_ns, stat.st_size


def _load(store: Path) -> tuple[dict[str, Any], np.ndarray]:
    try:
        content = json.loads((store / FACTS).read_text(encoding="utf-8"))
        if content["version"] == VERSION:
            return content["recordings"], np.asarray(np.load(store / content["epochs"], mmap_mode="r"))
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        pass
    return {}, np.zeros((0, 3))


def _write(store: Path, found: dict[str, Entry], stamps: dict[str, list[int]]) -> None:
    epochs = EPOCHS.format(secrets.token_hex(4))  # a name of its own: the two files always belong together
    recordings, columns, first = {}, [np.zeros((0, 3))], 0
    for name, (facts, hypnogram) in found.items():
        last = first + len(hypnogram)
        recordings[name] = {"facts": facts, "first": first, "last": last, "stamp": stamps[name]}
        columns.append(np.stack([hypnogram.onset_s, hypnogram.duration_s, hypnogram.labels.astype(float)], axis=1))
        first = last
    content = io.BytesIO()
    np.save(content, np.concatenate(columns))
    try:
        write_bytes_atomically(store / epochs, content.getvalue())
        whole = {"version": VERSION, "epochs": epochs, "recordings": recordings}
        write_text_atomically(store / FACTS, json.dumps(whole))
        for old in store.glob(EPOCHS.format("*")):
            if old.name != epochs:
                old.unlink(missing_ok=True)
    except OSError:
        return
