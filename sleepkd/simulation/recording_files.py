"""Files of simulated recordings: EDF+ signals, heartbeats, participants.tsv; a folder is complete or absent."""

import datetime
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from edfio import Edf, EdfAnnotation, EdfSignal, Patient, Recording

from sleepkd.errors import UserError
from sleepkd.simulation.cardiac import CardiacRhythm
from sleepkd.simulation.ecg import simulate_ecg
from sleepkd.simulation.eeg import simulate_eeg, simulate_eeg_sources
from sleepkd.simulation.eog_emg import ocular_artifact, simulate_emg, simulate_eog, simulate_eye_movements
from sleepkd.simulation.mass_layout import PlannedRecording
from sleepkd.simulation.movement import COUNT_SECONDS
from sleepkd.simulation.noise import mains
from sleepkd.simulation.sensor_channels import simulate_sensors
from sleepkd.simulation.simulated_night import SimulatedNight

UNFINISHED = ".unfinished"
PARTICIPANTS = "participants.tsv"
FULL_SCALE = {"uV": 3276.7, "mV": 3.2767, "%": 100.0}  # one digital step is 0.1 microvolt
DIGITAL_MAXIMUM = 32767
Item = TypeVar("Item")
Row = Mapping[str, str | int | float]


@contextmanager
def complete_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, whose content appears in `out` when all of it is written, participants.tsv last.

    Raises UserError: `out` is not empty, a write fails, or a process was killed.
    """
    unfinished = out / UNFINISHED
    try:
        if out.is_file() or (out.is_dir() and any(entry != unfinished for entry in out.iterdir())):
            raise UserError(f"{out}: is not empty; choose a new or empty folder")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        yield unfinished
        for entry in sorted(unfinished.iterdir(), key=lambda path: path.name == PARTICIPANTS):
            os.replace(entry, out / entry.name)
    except BrokenProcessPool:
        raise UserError("jobs: a process was killed, most likely for lack of memory; lower --jobs") from None
    except OSError as error:
        raise UserError(f"{out}: the cohort cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_each(write: Callable[[Item], Row], items: Sequence[Item], jobs: int) -> list[Row]:
    """The row of participants.tsv of every item that `write` wrote, in `jobs` processes."""
    if jobs == 1:
        return [write(item) for item in items]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(write, items))


def write_participants(folder: Path, rows: Sequence[Row]) -> None:
    """Write participants.tsv: a line for each recording."""
    table = ["\t".join(rows[0]), *("\t".join(str(value) for value in row.values()) for row in rows)]
    (folder / PARTICIPANTS).write_text("\n".join(table) + "\n", encoding="utf-8")


def write_beats(path: Path, beats: np.ndarray) -> None:
    """Write heartbeat times (beats,), s."""
    times = "\n".join(f"{beat:.4f}" for beat in beats)
    path.write_text(f"time\n{times}\n", encoding="utf-8")


def write_rate(path: Path, times: np.ndarray, per_minute: np.ndarray) -> None:
    """Write a heart rate (n,), beats per minute, at times (n,), s."""
    rows = "".join(f"{time:g},{value:g}\n" for time, value in zip(times, per_minute, strict=True))
    path.write_text(f"time,heart_rate\n{rows}", encoding="utf-8")


def write_counts(path: Path, counts: np.ndarray) -> None:
    """Write activity counts (n,) per 30 s in the layout of `sleep_accel`: onset in s, count."""
    rows = "".join(f"{COUNT_SECONDS * k},{count:.4f}\n" for k, count in enumerate(counts))
    path.write_text(f"onset_s,count\n{rows}", encoding="utf-8")


def edf_signals(
    night: SimulatedNight, rhythm: CardiacRhythm | None, recording: PlannedRecording, channels: str, rate: int
) -> Iterator[EdfSignal]:
    """Each channel of the PSG file, in order; no ECG without a rhythm."""
    sources, eye_movements = simulate_eeg_sources(night, rate), simulate_eye_movements(night, rate)
    hum = np.float32(night.subject.mains_amplitude) * mains(round(night.duration * rate), rate)
    for electrode in recording.electrodes(channels):
        # Against linked earlobes, A1 and A2 have opposite signs.
        sign = -1 if electrode == "A1" else 1
        source = "A2" if electrode == "A1" else electrode
        eeg = sign * (simulate_eeg(night, sources, source, rate) + ocular_artifact(eye_movements, source)) + hum
        yield _edf_signal(eeg, rate, f"EEG {electrode}-{recording.reference}", "uV")
    if channels == "full":
        for side in ("Left", "Right"):
            eog = simulate_eog(night, sources, eye_movements, side, rate) + hum
            yield _edf_signal(eog, rate, f"EOG {side} Horiz", "uV")
        for chin in ("Chin1", "Chin2"):
            emg = simulate_emg(night, chin, rate) + hum
            yield _edf_signal(emg, rate, f"EMG {chin}", "uV")
    if rhythm is None:
        return
    unit = recording.ecg_unit
    for lead in recording.leads(channels):
        ecg = simulate_ecg(night, rhythm, rate, lead) * np.float32(1000 if unit == "uV" else 1)
        yield _edf_signal(ecg, rate, f"ECG {lead}", unit)


def sensor_signals(night: SimulatedNight, rhythm: CardiacRhythm, kinds: Sequence[str]) -> list[EdfSignal]:
    """The channels of the given `SENSOR_KINDS` in the PSG file, each at its own rate."""
    return [
        _edf_signal(signal, channel.rate, channel.label, channel.unit)
        for channel, signal in simulate_sensors(night, rhythm, kinds)
    ]


def _edf_signal(signal: np.ndarray, rate: int, label: str, unit: str) -> EdfSignal:
    full_scale = FULL_SCALE[unit]
    digital = np.clip(
        np.rint(signal * np.float32(DIGITAL_MAXIMUM / full_scale)), -DIGITAL_MAXIMUM, DIGITAL_MAXIMUM
    ).astype(np.int16)
    return EdfSignal.from_digital(
        digital,
        rate,
        label=label,
        physical_dimension=unit,
        physical_range=(-full_scale, full_scale),
        digital_range=(-DIGITAL_MAXIMUM, DIGITAL_MAXIMUM),
    )


def edf_file(
    night: SimulatedNight,
    identifier: str,
    signals: Sequence[EdfSignal] = (),
    annotations: Sequence[EdfAnnotation] = (),
) -> Edf:
    """An EDF+ file of one night; its start depends on the seed and the night."""
    rng = night.generator("header")
    start = datetime.datetime(2001, 1, 1, 21, 30) + datetime.timedelta(
        days=int(rng.integers(0, 3000)), seconds=int(rng.integers(0, 9000))
    )
    return Edf(
        signals,
        patient=Patient(code=identifier, sex=night.subject.sex),
        recording=Recording(startdate=start.date(), equipment_code="sleepkd.simulate"),
        starttime=start.time(),
        annotations=annotations,
    )
