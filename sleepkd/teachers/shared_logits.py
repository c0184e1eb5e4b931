"""Logits of a trained teacher on disk, a file per night, that runs with the same teacher share.

The runs of a study differ in their losses and seeds, and ask the same teacher about the same nights. Several processes
may read and write at once: a file is written whole, and two that compute the same night write the same.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sleepkd.data.segments import Segments
from sleepkd.files import write_bytes_atomically

GEOMETRY = ("sleep_epoch", "onset_s", "duration_s", "start_s", "token_spans", "mask")
"""The columns of a night's segments that its logits depend on; its labels are none of them."""


class SharedLogits:
    """The logits of one teacher. identity: of its weights and all that it reads with, see `CachedTeacher`."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]):
        described = json.dumps(identity, sort_keys=True, default=str)
        self._folder = folder / hashlib.sha256(described.encode()).hexdigest()[:32]

    def read(self, segments: Segments, rows: np.ndarray) -> np.ndarray | None:
        """Logits (rows, n, K) of all segments of a night, by index; None if no run has computed them."""
        try:
            with np.load(self._path(segments, rows), allow_pickle=False) as held:
                logits = held["logits"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # none, or damaged
            return None
        return logits if logits.shape[:2] == segments.table.labels[rows].shape else None

    def write(self, segments: Segments, rows: np.ndarray, logits: np.ndarray) -> None:
        """Keep the logits (rows, n, K) of all segments of a night."""
        content = io.BytesIO()
        np.savez(content, logits=logits)
        path = self._path(segments, rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomically(path, content.getvalue())

    def _path(self, segments: Segments, rows: np.ndarray) -> Path:
        """Named by the content of the night and by where its segments lie."""
        table = segments.table
        info = asdict(segments.nights[int(table.night[rows[0]])].info)
        digest = hashlib.sha256(json.dumps(info, sort_keys=True, default=str).encode())
        for name in GEOMETRY:
            column = np.ascontiguousarray(getattr(table, name)[rows])
            digest.update(f"{name} {column.dtype} {column.shape}".encode() + column.tobytes())
        return self._folder / f"{digest.hexdigest()[:32]}.npz"
