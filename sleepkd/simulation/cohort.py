"""Write a simulated cohort in the layout of MASS: EDF+ recordings, scorings, `participants.tsv`, true heartbeats."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from edfio import EdfAnnotation

from sleepkd.config import require
from sleepkd.data.averaged_rate import RateDevice, averaged_rate
from sleepkd.simulation.cardiac import simulate_cardiac_rhythm
from sleepkd.simulation.ecg import artifact_free
from sleepkd.simulation.inter_rater import scorer_labels
from sleepkd.simulation.mass_layout import CHANNEL_SETS, PlannedRecording, plan_recordings
from sleepkd.simulation.movement import simulate_activity
from sleepkd.simulation.population import Population
from sleepkd.simulation.recording_files import (
    complete_folder,
    edf_file,
    edf_signals,
    sensor_signals,
    write_beats,
    write_counts,
    write_each,
    write_participants,
    write_rate,
)
from sleepkd.simulation.respiration import central_apneas
from sleepkd.simulation.sensor_channels import MOTION, SENSOR_KINDS
from sleepkd.simulation.simulated_night import SimulatedNight, simulate_night
from sleepkd.simulation.sleep_architecture import SLEEP_EPOCH_SECONDS

ORIGIN = "simulated"  # a column of participants.tsv, so that no result passes for one of real people
SHORTEST_HOURS = 0.25
LOWEST_RATE = 128  # Hz, more than twice the 60 Hz of the mains


def write_cohort(
    out: Path,
    nights: int,
    hours: float,
    seed: int,
    jobs: int = 1,
    channels: str = "full",
    rate: int = 256,
    scorers: int = 1,
    population: Population | None = None,
    device: RateDevice | None = None,
    sensors: Sequence[str] = (),
) -> list[Path]:
    """Write a simulated cohort into `out`, a new or empty folder, and return the paths of its PSG files.

    hours: length of each recording, 0.25 to 24, rounded to ten seconds. A recording shorter than 5.5 h is a compressed
    night (`simulate_states`).
    jobs: processes that write nights in parallel.
    channels: "full"; "needed", the EEG and ECG channels that staging uses; or "beats", heartbeat times in place of
    signals, whose files are returned.
    rate: sampling rate of all signals in Hz.
    scorers: scorings per night. The first is `Base.edf`, the others `Scorer2.edf` and so on.
    device: writes the averaged heart rate of a watch or strap, `Rate.csv`: beside the signals, or in place of the
    heartbeat times.
    sensors: of `SENSOR_KINDS`: channels of the PSG file, at their own rates; "motion" is a table, `Activity.csv`. With
    "beats" only "motion". They change no other signal. `truth` then holds the apneas, too.

    Night k depends on (seed, k) alone: neither `jobs` nor the number of nights changes a byte of it. Files appear under
    their final names when all nights are complete, `participants.tsv` last.

    Raises UserError naming an argument that is out of range, a folder that is not empty, or a write that fails.
    """
    _check(nights, hours, seed, jobs, channels, rate, scorers)
    _check_sensors(sensors, channels)
    population = population or Population()
    population.check()
    recordings = plan_recordings(nights, seed)
    with complete_folder(out) as folder:
        write = partial(
            write_simulated_recording,
            folder,
            seed=seed,
            hours=hours,
            channels=channels,
            rate=rate,
            scorers=scorers,
            population=population,
            device=device,
            sensors=sensors,
        )
        write_participants(folder, write_each(write, recordings, jobs))
    main_file = "PSG.edf" if channels != "beats" else "Rate.csv" if device else "Beats.csv"
    return [_path(out, recording, main_file) for recording in recordings]


def write_simulated_recording(
    out: Path,
    recording: PlannedRecording,
    seed: int,
    hours: float,
    channels: str,
    rate: int,
    scorers: int,
    population: Population,
    device: RateDevice | None = None,
    sensors: Sequence[str] = (),
) -> dict[str, str | int | float]:
    """Write one night's signals, scorings and true heartbeats into `out`; return its row of `participants.tsv`.

    Parameters as in `write_cohort`.
    """
    night = simulate_night(seed, recording.night, recording.subset, hours, population)
    rhythm = simulate_cardiac_rhythm(night)
    _path(out, recording, "").parent.mkdir(exist_ok=True)
    if device:
        rate_values = averaged_rate(rhythm.beats, device, night.generator("device"))
        write_rate(_path(out, recording, "Rate.csv"), *rate_values)
    elif channels == "beats":
        write_beats(_path(out, recording, "Beats.csv"), rhythm.beats)
    if channels != "beats":
        signals = list(edf_signals(night, rhythm, recording, channels, rate)) + sensor_signals(night, rhythm, sensors)
        edf_file(night, recording.identifier, signals).write(_path(out, recording, "PSG.edf"))
    if MOTION in sensors:
        write_counts(_path(out, recording, "Activity.csv"), simulate_activity(night))
    for number, annotations in enumerate(_scorings(night, recording.standard, scorers), start=1):
        name = "Base.edf" if number == 1 else f"Scorer{number}.edf"
        edf_file(night, recording.identifier, annotations=annotations).write(_path(out, recording, name))
    (out / "truth").mkdir(exist_ok=True)
    truth: dict[str, Any] = {
        "beats": rhythm.beats,
        "kinds": rhythm.kinds,
        "clean": artifact_free(night, rhythm.beats),
        "states": night.states,
    }
    if sensors:
        truth |= {"apneas": night.apneas, "central": central_apneas(night)}
    np.savez(out / "truth" / f"{recording.identifier}.npz", **truth)
    return _participant(night, recording)


def _check(nights: int, hours: float, seed: int, jobs: int, channels: str, rate: int, scorers: int) -> None:
    require(nights >= 1, "nights", f"must be at least 1, is {nights}")
    require(SHORTEST_HOURS <= hours <= 24, "hours", f"must be from {SHORTEST_HOURS} to 24, is {hours}")
    require(seed >= 0, "seed", f"must be 0 or more, is {seed}")
    require(jobs >= 1, "jobs", f"must be at least 1, is {jobs}")
    require(scorers >= 1, "scorers", f"must be at least 1, is {scorers}")
    require(channels in CHANNEL_SETS, "channels", f"must be one of {', '.join(CHANNEL_SETS)}; is {channels!r}")
    require(rate >= LOWEST_RATE, "rate", f"must be at least {LOWEST_RATE} Hz, is {rate}")


def _check_sensors(sensors: Sequence[str], channels: str) -> None:
    for name in sensors:
        require(name in SENSOR_KINDS, "sensors", f"must be of {', '.join(SENSOR_KINDS)}; is {name!r}")
        require(
            channels != "beats" or name == MOTION,
            "sensors",
            f"{name} does not go with channels beats, which writes no signals; choose needed or full",
        )


def _path(out: Path, recording: PlannedRecording, file: str) -> Path:
    return out / f"{recording.subset}_EDF" / f"{recording.identifier} {file}"


def _scorings(night: SimulatedNight, standard: str, scorers: int) -> Iterator[list[EdfAnnotation]]:
    """The annotations of each scorer, one per sleep epoch.

    As in MASS, the first sleep epoch starts at a fraction of a second and the last may outlast the signal. All scorers
    leave the same sleep epochs at both ends unscored.
    """
    rng = night.generator("scoring")
    length = SLEEP_EPOCH_SECONDS[standard]
    first = round(rng.uniform(0.1, length - 0.1), 4)
    count = int((night.duration - first) / length) + int(rng.integers(0, 2))
    before, after = rng.integers(1, 4, 2)
    for labels in scorer_labels(night.states, standard, first, count, night.seed, night.number, scorers):
        labels[:before] = ["?"] * before
        labels[-after:] = ["?"] * after
        yield [
            EdfAnnotation(round(first + i * length, 4), length, f"Sleep stage {label}")
            for i, label in enumerate(labels)
        ]


def _participant(night: SimulatedNight, recording: PlannedRecording) -> dict[str, str | int | float]:
    subject = night.subject
    return {
        "recording": recording.identifier,
        "origin": ORIGIN,
        "subset": recording.subset,
        "standard": recording.standard,
        "reference": recording.reference,
        "ear": recording.earlobe,
        "age": round(subject.age, 1),
        "sex": subject.sex,
        "fitness": round(subject.fitness, 2),
        "apnea_index": round(subject.apnea_index, 1),
        "limb_movements": round(subject.limb_movements, 1),
        "fibrillation": "yes" if subject.autonomic.atrial_fibrillation else "no",
        "beta_blocker": "yes" if subject.autonomic.beta_blocker else "no",
        "resting_heart_rate": round(subject.resting_heart_rate, 1),
        "hrv_gain": round(subject.hrv_gain, 3),
        "respiratory_rate": round(subject.respiratory_rate, 1),
        "ectopic_rate": round(subject.ectopic_rate, 1),
        "ecg_polarity": subject.ecg_polarity,
        "ecg_unit": recording.ecg_unit,
        "spindle_frequency": round(subject.spindle_frequency, 2),
        "alpha_frequency": round(subject.alpha_frequency, 2),
    }
