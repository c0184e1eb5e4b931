"""Write a prepared store: its settings, and each recording completely or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from sleepkd.data.hypnogram import Hypnogram, write_hypnogram
from sleepkd.data.quantiles import quantiles
from sleepkd.data.recording_info import MISSING, RecordingInfo, to_json
from sleepkd.data.store import FORMAT, StoreSettings, read_settings
from sleepkd.errors import UserError
from sleepkd.files import write_text_atomically


def create_store(path: Path, settings: StoreSettings) -> None:
    """Create a store, or do nothing if the one at `path` has the same settings.

    Raises UserError: a store with other settings, a folder that cannot be made.
    """
    if (path / "store.json").is_file():
        present = read_settings(path)
        if present != settings:
            raise UserError(
                f"{path}: holds {asdict(present)}, this command asks for {asdict(settings)}; choose another --out"
            )
        return
    try:
        (path / "recordings").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made: {error.strerror}") from None
    write_text_atomically(path / "store.json", json.dumps({"format": FORMAT, **asdict(settings)}, indent=1) + "\n")


def write_recording(
    store: Path,
    info: RecordingInfo,
    signals: Mapping[str, np.ndarray],
    hypnogram: Hypnogram,
    beats: np.ndarray | None = None,
    beat_quality: np.ndarray | None = None,
    other_scorings: np.ndarray | None = None,
) -> None:
    """Write one recording into a temporary folder, then rename it; a recording of this name is replaced.

    signals: int16 (samples,) by name. beats: float64 (beats,), s. beat_quality: float32 (N,), required beside beats.
    other_scorings: int8 (S, N), required if `info` names other scorings.
    """
    arrays = {f"{name}.npy": samples for name, samples in signals.items()}
    if beats is not None:
        arrays["beats.npy"] = np.asarray(beats, dtype=np.float64)
        arrays["beat_quality.npy"] = np.asarray(beat_quality, dtype=np.float32)
    if other_scorings is not None:
        arrays["other_scorings.npy"] = other_scorings
    parent = store / "recordings"
    temporary = Path(tempfile.mkdtemp(dir=parent, prefix=f".{info.recording}."))
    try:
        for file, array in arrays.items():
            np.save(temporary / file, array)
        write_hypnogram(temporary / "hypnogram.tsv", hypnogram)
        (temporary / "recording.json").write_text(to_json(info), encoding="utf-8")
        temporary.chmod(0o755)
        final = parent / info.recording
        if final.exists():
            shutil.rmtree(final)
        os.replace(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def to_int16(signal: np.ndarray) -> tuple[np.ndarray, float, float]:
    """A physical signal (samples,) as int16 with scale and offset; the largest deviation takes the full range.

    NaN becomes `MISSING`, which no other sample does. At least one sample is no NaN.
    """
    missing = np.isnan(signal)
    known = signal[~missing] if missing.any() else signal
    offset = float(quantiles(known, (0.5,))[0])
    deviation = known - offset
    peak = float(max(deviation.max(), -deviation.min()))
    scale = peak / 32767 if peak > 0 else 1.0
    deviation /= scale  # in place: a night is 50 MB
    stored = np.rint(deviation, out=deviation).astype(np.int16)
    if known is signal:
        return stored, scale, offset
    filled = np.full(len(signal), MISSING, dtype=np.int16)
    filled[~missing] = stored
    return filled, scale, offset
