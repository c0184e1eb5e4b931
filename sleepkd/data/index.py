"""The index of a large store: recording.json and hypnogram of all recordings in two files, so that it opens fast.

STORE/index.json      per recording: recording.json, its range of sleep epochs, size and time of its two files
STORE/index.<id>.npy  float64 (sleep epochs, 3): onset, duration, label of all recordings, concatenated

It is written when it is missing, and updated when a file changes. It can be deleted at any time.
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

INDEX, EPOCHS = "index.json", "index.{}.npy"
VERSION = 1
Entry = tuple[dict[str, Any], Hypnogram]


def indexed(store: Path, recordings: Sequence[str], read: Callable[[str], Entry]) -> dict[str, Entry]:
    """Parsed recording.json and hypnogram of every recording that can be read; updates the index on disk.

    read: gets the two from the files of one recording. A store that cannot be written to has no index.
    """
    stamps = {name: _stamp(store / "recordings" / name) for name in recordings}
    entries, arrays = _load(store)
    found: dict[str, Entry] = {}
    stale = entries.keys() != stamps.keys()
    for name in recordings:
        entry = entries.get(name)
        if entry and entry["stamp"] == stamps[name]:
            epochs = arrays[entry["first"] : entry["last"]]
            found[name] = (entry["facts"], Hypnogram(epochs[:, 0], epochs[:, 1], epochs[:, 2].astype(np.int8)))
        else:
            stale = True
            try:
                found[name] = read(name)
            except UserError:  # raised again when the recording is opened
                continue
    if stale:
        _write(store, found, stamps)
    return found


def _stamp(folder: Path) -> list[int]:
    """Time of the last change and size of the two files."""
    return [value for name in ("recording.json", "hypnogram.tsv") for value in _changed(folder / name)]


def _changed(path: Path) -> tuple[int, int]:
    try:
        stat = os.stat(path)
    except OSError:
        return (0, 0)
    return stat.st_mtime_ns, stat.st_size


def _load(store: Path) -> tuple[dict[str, Any], np.ndarray]:
    try:
        content = json.loads((store / INDEX).read_text(encoding="utf-8"))
        if content["version"] == VERSION:
            return content["recordings"], np.asarray(np.load(store / content["epochs"], mmap_mode="r"))
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        pass
    return {}, np.zeros((0, 3))


def _write(store: Path, found: dict[str, Entry], stamps: dict[str, list[int]]) -> None:
    epochs = EPOCHS.format(secrets.token_hex(4))  # a new name, so that the two files always match
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
        complete = {"version": VERSION, "epochs": epochs, "recordings": recordings}
        write_text_atomically(store / INDEX, json.dumps(complete))
        for old in store.glob(EPOCHS.format("*")):
            if old.name != epochs:
                old.unlink(missing_ok=True)
    except OSError:
        return
