"""Synthetic stores whose every sample is known."""

import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from sleepkd.data.hypnogram import UNSCORED, Hypnogram
from sleepkd.data.recording_info import RecordingInfo, SignalInfo
from sleepkd.data.store import Store, StoreSettings
from sleepkd.data.store_writing import create_store, write_recording


def signal_info(samples: np.ndarray, rate_hz: float, **changes) -> SignalInfo:
    """By default the physical signal is the stored number, with median 0 and interquartile range 1.

    Statistics of the scored part are those of the night unless `changes` holds others.
    """
    facts = {"scale": 1.0, "offset": 0.0, "median": 0.0, "iqr": 1.0, "polarity": 1, "unit": "uV"} | changes
    facts = {"scored_median": facts["median"], "scored_iqr": facts["iqr"]} | facts
    return SignalInfo(derivation="C3", recorded_hz=rate_hz, rate_hz=rate_hz, samples=len(samples), **facts)


def hypnogram(onset_s, duration_s=30.0, labels=None) -> Hypnogram:
    onsets = np.asarray(onset_s, dtype=float)
    return Hypnogram(
        onsets,
        np.broadcast_to(np.asarray(duration_s, dtype=float), onsets.shape).copy(),
        np.asarray(np.zeros(len(onsets)) if labels is None else labels, dtype=np.int8),
    )


def made_store(
    path: Path,
    nights: dict[str, Hypnogram],
    signals: dict[str, np.ndarray],
    rate_hz: float = 100.0,
    settings: StoreSettings | None = None,
    **changes,
) -> Store:
    """A store whose recordings all hold the same int16 signals. changes: fields of `SignalInfo`.

    A night without a scored sleep epoch is an unlabelled recording.
    """
    create_store(path, settings or StoreSettings("made up", rate_hz))
    for name, night in nights.items():
        infos = {signal: signal_info(samples, rate_hz, **changes) for signal, samples in signals.items()}
        info = RecordingInfo(
            recording=name, subject=f"subject of {name}", subset="all", standard="aasm", source="PSG.edf",
            scoring="Base.edf" if (night.labels != UNSCORED).any() else "",
            seconds=max((len(samples) / rate_hz for samples in signals.values()), default=0.0),
            signals=infos, ignored_annotations={},
        )  # fmt: skip
        write_recording(path, info, signals, night)
    return Store(path)


def without_inputs(store: Path, path: Path, missing: Mapping[str, Collection[str]]) -> Store:
    """A copy of a store in which some recordings lack signals or heartbeats: {recording: names}."""
    shutil.copytree(store, path, ignore=shutil.ignore_patterns("index*"))
    for recording, names in missing.items():
        folder = path / "recordings" / recording
        about = json.loads((folder / "recording.json").read_text())
        about["signals"] = {name: signal for name, signal in about["signals"].items() if name not in names}
        about["beats"] = None if "beats" in names else about["beats"]
        (folder / "recording.json").write_text(json.dumps(about))
        for name in names:
            (folder / f"{name}.npy").unlink()
    return Store(path)
