"""A cohort on disk in MASS's layout: recordings, scorings, `participants.tsv` and the true beat times."""

import datetime
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import numpy as np
from edfio import Edf, EdfAnnotation, EdfSignal, Patient
from edfio import Recording as EdfRecording

from sleepkd.errors import UserError
from sleepkd.simulation.ecg import clean, simulate_ecg
from sleepkd.simulation.eeg import simulate_brain, simulate_eeg
from sleepkd.simulation.face import eyes_in_eeg, simulate_emg, simulate_eog, simulate_eyes
from sleepkd.simulation.heart import Heart, simulate_heart
from sleepkd.simulation.hypnogram import SLEEP_EPOCH_SECONDS
from sleepkd.simulation.layout import Recording, plan
from sleepkd.simulation.night import Night, simulate_night
from sleepkd.simulation.noise import mains
from sleepkd.simulation.population import Population
from sleepkd.simulation.scorers import scorings

CHANNELS = ("beats", "needed", "full")
UNFINISHED = ".unfinished"
PARTICIPANTS = "participants.tsv"
ORIGIN = "simulated"  # a column of the participants: no table may pass for one of people
SHORTEST_HOURS = 0.25
LOWEST_RATE = 128  # above twice the 60 Hz of the mains
FULL_SCALE = {"uV": 3276.7, "mV": 3.2767}  # one digit is 0.1 microvolt
DIGITAL = 32767


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
) -> list[Path]:
    """Write `nights` recordings of `hours` each under `out`; returns the paths of their PSG files, or of their beats.

    channels "beats": the times of beats and the scorings, no signal. scorers: how many score each night; the first
    one's scoring is `Base.edf`, the others' are `Scorer2.edf` and so on.

    Night k depends on (seed, k) alone: the same bytes whatever `jobs`, and a longer cohort begins with the same nights.
    The files appear under their names only when all are complete, `participants.tsv` last. A short recording holds a
    compressed night (`simulate_states`); its length is rounded to ten seconds.
    """
    _check(nights, hours, seed, jobs, channels, rate, scorers)
    population = population or Population()
    population.check()
    recordings = plan(nights, seed)
    unfinished = out / UNFINISHED
    try:
        if out.is_file() or (out.is_dir() and any(entry != unfinished for entry in out.iterdir())):
            raise UserError(f"{out} already holds something: name a new or an empty folder")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write = partial(
            write_night, unfinished, seed=seed, hours=hours, channels=channels, rate=rate, scorers=scorers,
            population=population,
        )  # fmt: skip
        if jobs == 1:
            rows = [write(recording) for recording in recordings]
        else:
            with ProcessPoolExecutor(jobs) as pool:
                rows = list(pool.map(write, recordings))
        table = ["\t".join(rows[0]), *("\t".join(str(value) for value in row.values()) for row in rows)]
        (unfinished / PARTICIPANTS).write_text("\n".join(table) + "\n", encoding="utf-8")
        for entry in sorted(unfinished.iterdir(), key=lambda path: path.name == PARTICIPANTS):
            os.replace(entry, out / entry.name)
    except BrokenProcessPool:
        raise UserError("simulate: a process was killed, most likely for lack of memory; lower --jobs") from None
    except OSError as error:
        raise UserError(f"cannot write the cohort to {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return [_path(out, recording, "Beats.csv" if channels == "beats" else "PSG.edf") for recording in recordings]


def _path(out: Path, recording: Recording, file: str) -> Path:
    return out / f"{recording.subset}_EDF" / f"{recording.identifier} {file}"


def write_night(
    out: Path,
    recording: Recording,
    seed: int,
    hours: float,
    channels: str,
    rate: int,
    scorers: int,
    population: Population,
) -> dict[str, str | int | float]:
    """Write one night's signals, scorings and true beats under `out`; return its row of `participants.tsv`."""
    night = simulate_night(seed, recording.night, recording.subset, hours, population)
    heart = simulate_heart(night)
    header = _header(night, recording)
    _path(out, recording, "").parent.mkdir(exist_ok=True)
    if channels == "beats":
        times = "\n".join(f"{beat:.4f}" for beat in heart.beats)
        _path(out, recording, "Beats.csv").write_text(f"time\n{times}\n", encoding="utf-8")
    else:
        signals = list(_signals(night, heart, recording, channels, rate))
        Edf(signals, annotations=(), **header).write(_path(out, recording, "PSG.edf"))
    for number, annotations in enumerate(_scorings(night, recording.standard, scorers), start=1):
        name = "Base.edf" if number == 1 else f"Scorer{number}.edf"
        Edf([], annotations=annotations, **header).write(_path(out, recording, name))
    (out / "truth").mkdir(exist_ok=True)
    np.savez(
        out / "truth" / f"{recording.identifier}.npz",
        beats=heart.beats,
        kinds=heart.kinds,
        clean=clean(night, heart.beats),
        states=night.states,
    )
    return _participant(night, recording)


def _check(nights: int, hours: float, seed: int, jobs: int, channels: str, rate: int, scorers: int) -> None:
    if nights < 1:
        raise UserError(f"nights must be at least 1, not {nights}")
    if not SHORTEST_HOURS <= hours <= 24:
        raise UserError(f"hours must be from {SHORTEST_HOURS} to 24, not {hours}")
    if seed < 0:
        raise UserError(f"seed must not be negative, is {seed}")
    if jobs < 1:
        raise UserError(f"jobs must be at least 1, not {jobs}")
    if scorers < 1:
        raise UserError(f"scorers must be at least 1, not {scorers}")
    if channels not in CHANNELS:
        raise UserError(f"channels must be one of {', '.join(CHANNELS)}, not {channels!r}")
    if rate < LOWEST_RATE:
        raise UserError(f"rate must be at least {LOWEST_RATE} Hz, not {rate}")


def _signals(night: Night, heart: Heart, recording: Recording, channels: str, rate: int) -> Iterator[EdfSignal]:
    """The channels of the PSG file, one after the other."""
    brain, eyes = simulate_brain(night, rate), simulate_eyes(night, rate)
    hum = np.float32(night.subject.mains_amplitude) * mains(round(night.duration * rate), rate)
    for electrode in recording.electrodes(channels):
        # Against linked ears the two ears are opposites: what one reads, the other reads with the sign turned.
        sign = -1 if electrode == "A1" else 1
        source = "A2" if electrode == "A1" else electrode
        eeg = sign * (simulate_eeg(night, brain, source, rate) + eyes_in_eeg(eyes, source)) + hum
        yield _edf_signal(eeg, rate, f"EEG {electrode}-{recording.reference}", "uV")
    if channels == "full":
        for side in ("Left", "Right"):
            eog = simulate_eog(night, brain, eyes, side, rate) + hum
            yield _edf_signal(eog, rate, f"EOG {side} Horiz", "uV")
        for chin in ("Chin1", "Chin2"):
            emg = simulate_emg(night, chin, rate) + hum
            yield _edf_signal(emg, rate, f"EMG {chin}", "uV")
    unit = recording.ecg_unit
    for lead in recording.leads(channels):
        ecg = simulate_ecg(night, heart, rate, lead) * np.float32(1000 if unit == "uV" else 1)
        yield _edf_signal(ecg, rate, f"ECG {lead}", unit)


def _edf_signal(signal: np.ndarray, rate: int, label: str, unit: str) -> EdfSignal:
    full_scale = FULL_SCALE[unit]
    digital = np.clip(np.rint(signal * np.float32(DIGITAL / full_scale)), -DIGITAL, DIGITAL).astype(np.int16)
    return EdfSignal.from_digital(
        digital,
        rate,
        label=label,
        physical_dimension=unit,
        physical_range=(-full_scale, full_scale),
        digital_range=(-DIGITAL, DIGITAL),
    )


def _scorings(night: Night, standard: str, scorers: int) -> Iterator[list[EdfAnnotation]]:
    """Of each scorer one annotation per sleep epoch; the first starts at a fraction of a second.

    The last may outlast the signal. Where scoring begins and ends is the same for all.
    """
    rng = night.generator("scoring")
    length = SLEEP_EPOCH_SECONDS[standard]
    first = round(rng.uniform(0.1, length - 0.1), 4)
    count = int((night.duration - first) / length) + int(rng.integers(0, 2))
    before, after = rng.integers(1, 4, 2)
    for labels in scorings(night.states, standard, first, count, night.seed, night.number, scorers):
        labels[:before] = ["?"] * before
        labels[-after:] = ["?"] * after
        yield [
            EdfAnnotation(round(first + i * length, 4), length, f"Sleep stage {label}")
            for i, label in enumerate(labels)
        ]


def _header(night: Night, recording: Recording) -> dict[str, object]:
    """Header fields of both files; the date comes from the seed, as everything else."""
    rng = night.generator("header")
    start = datetime.datetime(2001, 1, 1, 21, 30) + datetime.timedelta(
        days=int(rng.integers(0, 3000)), seconds=int(rng.integers(0, 9000))
    )
    return {
        "patient": Patient(code=recording.identifier, sex=night.subject.sex),
        "recording": EdfRecording(startdate=start.date(), equipment_code="sleepkd.simulate"),
        "starttime": start.time(),
    }


def _participant(night: Night, recording: Recording) -> dict[str, str | int | float]:
    subject = night.subject
    return {
        "recording": recording.identifier,
        "origin": ORIGIN,
        "subset": recording.subset,
        "standard": recording.standard,
        "reference": recording.reference,
        "ear": recording.ear,
        "age": round(subject.age, 1),
        "sex": subject.sex,
        "fitness": round(subject.fitness, 2),
        "apnea_index": round(subject.apnea_index, 1),
        "limb_movements": round(subject.limb_movements, 1),
        "fibrillation": "yes" if subject.autonomic.fibrillates else "no",
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
