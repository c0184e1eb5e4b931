"""Half-real nights: the real heartbeats and labels of a prepared store, with simulated EEG, EOG, EMG and ECG.

Real: the heartbeats or the averaged heart rate, the hypnogram, and how they belong together. Simulated: the EEG, EOG
and EMG of that hypnogram, each sleep epoch as its label says, and the shape of the ECG around the real beats. Nothing
in the simulated signals but the sleep stage follows the real sleeper: not the arousals, movements or breathing.
"""

from functools import partial
from pathlib import Path

import numpy as np
from edfio import EdfAnnotation

from sleepkd.config import require
from sleepkd.data.averaged_rate import RateDevice, averaged_rate
from sleepkd.data.hypnogram import UNSCORED, Hypnogram
from sleepkd.data.store import Night, Store
from sleepkd.errors import UserError
from sleepkd.simulation.cardiac import CardiacRhythm, simulate_cardiac_rhythm
from sleepkd.simulation.mass_layout import PlannedRecording
from sleepkd.simulation.noise import generator, slow_noise
from sleepkd.simulation.population import Population
from sleepkd.simulation.recording_files import (
    complete_folder,
    edf_file,
    edf_signals,
    write_beats,
    write_each,
    write_participants,
    write_rate,
)
from sleepkd.simulation.simulated_night import night_of_states
from sleepkd.simulation.sleep_architecture import N1, N2, REM, S3, S4, STATE_SECONDS, W
from sleepkd.simulation.subject import draw_subject

CHANNELS = ("needed", "full")
LABEL_TEXTS = {UNSCORED: "?", 0: "W", 1: "1", 2: "2", 3: "3", 4: "R"}
STATE_OF_LABEL = np.array([W, N1, N2, S3, REM])
SUBSET, REFERENCE, EARLOBE = "SS3", "LER", "A2"
"""The subset of MASS whose ages and EEG reference the simulated signals have."""
POPULATION = Population(apnea_share=0, limb_movement_share=0, fibrillation_share=0)
"""Of the simulated signals: none of the events that would shape a real heart rate, too."""
DEEP_STEPS = 12.0
"""Correlation time of S3 and S4 within N3, in states of 10 s; as likely one as the other."""
RATE_WINDOW_S = 1.0
"""The averaged heart rate is read back from the stored heartbeats over so short a window that it changes little."""


def write_half_real(
    store: Path, out: Path, seed: int = 0, jobs: int = 1, channels: str = "full", rate: int = 256
) -> list[Path]:
    """Write a half-real recording for every labelled night of a store that has heartbeats; return the PSG files.

    out: a new or empty folder; it gets a folder per scoring standard and subject with `PSG.edf`, `Base.edf`, and
    `Beats.csv` or, for nights of an averaged heart rate, `Rate.csv`. Datasets
    simulated_on_beats and simulated_on_rate read them.
    channels: "full", or "needed", the EEG and ECG that staging uses. rate: sampling rate in Hz.
    The signals of a night depend on the seed and on its place in the store.
    Raises UserError: no labelled night with heartbeats, or as in `write_cohort`.
    """
    require(channels in CHANNELS, "channels", f"must be one of {', '.join(CHANNELS)}; is {channels!r}")
    opened = Store(store)
    kept = [name for name in opened.recordings if opened.info(name).scoring and opened.info(name).beats]
    if not kept:
        raise UserError(f"{store}: holds no labelled night with heartbeats, which --cardiac keeps")
    with complete_folder(out) as folder:
        write = partial(_write_night, opened.path, folder, seed=seed, channels=channels, rate=rate)
        write_participants(folder, write_each(write, list(enumerate(kept)), jobs))
    return [_path(out, opened.open(name), "PSG.edf") for name in kept]


def _write_night(
    store: Path, out: Path, numbered: tuple[int, str], seed: int, channels: str, rate: int
) -> dict[str, str | int | float]:
    """Write one recording; return its row of participants.tsv."""
    number, name = numbered
    real = Store(store).open(name)
    beats, hypnogram = np.asarray(real.beats()), real.hypnogram
    seconds = max(float(beats[-1]), float(hypnogram.onset_s[-1] + hypnogram.duration_s[-1]))
    subject = draw_subject(seed, number, SUBSET, POPULATION)
    states = states_of_hypnogram(generator(seed, number, "hypnogram"), hypnogram, seconds)
    night = night_of_states(seed, number, subject, states, POPULATION)
    measured = real.cadence_s() == 0
    rhythm = _real_rhythm(beats, simulate_cardiac_rhythm(night)) if measured else None
    recording = PlannedRecording(number, SUBSET, name, REFERENCE, EARLOBE)
    _path(out, real, "").parent.mkdir(parents=True, exist_ok=True)
    edf_file(night, name, list(edf_signals(night, rhythm, recording, channels, rate))).write(
        _path(out, real, "PSG.edf")
    )
    annotations = [
        EdfAnnotation(float(onset), float(duration), f"Sleep stage {LABEL_TEXTS[int(label)]}")
        for onset, duration, label in zip(hypnogram.onset_s, hypnogram.duration_s, hypnogram.labels, strict=True)
    ]
    edf_file(night, name, annotations=annotations).write(_path(out, real, "Base.edf"))
    if measured:
        write_beats(_path(out, real, "Beats.csv"), beats)
    else:
        device = RateDevice(RATE_WINDOW_S, real.cadence_s(), rounding=0)
        write_rate(_path(out, real, "Rate.csv"), *averaged_rate(beats, device))
    return {
        "recording": name,
        "subject": real.info.subject,
        "origin": "half-real",
        "real": f"{'heartbeats' if measured else 'averaged heart rate'} and labels of {real.cohort}",
        "simulated": "EEG, EOG, EMG, ECG waves" if measured else "EEG, EOG, EMG",
    }


def states_of_hypnogram(rng: np.random.Generator, hypnogram: Hypnogram, seconds: float) -> np.ndarray:
    """The true state of every ten seconds (n,) of a scored night: as its labels say, N3 as S3 and S4 in turn.

    Outside of the scored part the sleeper is awake; unscored sleep epochs within it go on with the state before.
    """
    count = int(np.ceil(seconds / STATE_SECONDS))
    middle = (np.arange(count) + 0.5) * STATE_SECONDS
    row = np.searchsorted(hypnogram.onset_s, middle, side="right") - 1
    labels = np.where(row >= 0, hypnogram.labels[row.clip(0)], UNSCORED)
    labels[middle >= hypnogram.onset_s[-1] + hypnogram.duration_s[-1]] = UNSCORED
    scored = np.flatnonzero(labels != UNSCORED)
    latest = np.maximum.accumulate(np.where(labels != UNSCORED, np.arange(count), 0))
    inside = (np.arange(count) >= scored[0]) & (np.arange(count) <= scored[-1])
    states = np.where(inside, STATE_OF_LABEL[labels[latest].clip(0)], W)
    deeper = slow_noise(rng, count, 1.0, DEEP_STEPS) > 0
    return np.where((states == S3) & deeper, S4, states).astype(np.int8)


def _real_rhythm(beats: np.ndarray, simulated: CardiacRhythm) -> CardiacRhythm:
    """The real beats, all of the normal kind, with the simulated breathing."""
    return CardiacRhythm(beats, np.zeros(len(beats), dtype=np.int8), simulated.breathing)


def _path(out: Path, night: Night, file: str) -> Path:
    # The folder names what the dataset YAML has to know: the scoring standard and the length of sleep epochs.
    length = float(np.median(night.hypnogram.duration_s))
    return out / f"{night.info.standard}_{length:g}s" / night.info.subject / f"{night.info.recording} {file}"
