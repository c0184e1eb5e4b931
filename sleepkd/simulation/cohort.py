"""Write a simulated cohort in the layout of MASS: EDF+ recordings, scorings, `participants.tsv`, true heartbeats."""

import datetime
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import numpy as np
from edfio import Edf, EdfAnnotation, EdfSignal, Patient, Recording

from sleepkd.config import require
from sleepkd.data.averaged_rate import RateDevice, averaged_rate
from sleepkd.errors import UserError
from sleepkd.simulation.cardiac import CardiacRhythm, simulate_cardiac_rhythm
from sleepkd.simulation.ecg import artifact_free, simulate_ecg
from sleepkd.simulation.eeg import simulate_eeg, simulate_eeg_sources
from sleepkd.simulation.eog_emg import ocular_artifact, simulate_emg, simulate_eog, simulate_eye_movements
from sleepkd.simulation.inter_rater import scorer_labels
from sleepkd.simulation.mass_layout import CHANNEL_SETS, PlannedRecording, plan_recordings
from sleepkd.simulation.noise import mains
from sleepkd.simulation.population import Population
from sleepkd.simulation.simulated_night import SimulatedNight, simulate_night
from sleepkd.simulation.sleep_architecture import SLEEP_EPOCH_SECONDS

UNFINISHED = ".unfinished"
PARTICIPANTS = "participants.tsv"
ORIGIN = "simulated"  # a column of participants.tsv, so that no result passes for one of real people
SHORTEST_HOURS = 0.25
LOWEST_RATE = 128  # Hz, more than twice the 60 Hz of the mains
FULL_SCALE = {"uV": 3276.7, "mV": 3.2767}  # one digital step is 0.1 microvolt
DIGITAL_MAXIMUM = 32767


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

    Night k depends on (seed, k) alone: neither `jobs` nor the number of nights changes a byte of it. Files appear under
    their final names when all nights are complete, `participants.tsv` last.

    Raises UserError naming an argument that is out of range, a folder that is not empty, or a write that fails.
    """
    _check(nights, hours, seed, jobs, channels, rate, scorers)
    population = population or Population()
    population.check()
    recordings = plan_recordings(nights, seed)
    unfinished = out / UNFINISHED
    try:
        if out.is_file() or (out.is_dir() and any(entry != unfinished for entry in out.iterdir())):
            raise UserError(f"{out}: is not empty; choose a new or empty folder")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write = partial(
            write_simulated_recording,
            unfinished,
            seed=seed,
            hours=hours,
            channels=channels,
            rate=rate,
            scorers=scorers,
            population=population,
            device=device,
        )
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
        raise UserError("jobs: a process was killed, most likely for lack of memory; lower --jobs") from None
    except OSError as error:
        raise UserError(f"{out}: the cohort cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
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
) -> dict[str, str | int | float]:
    """Write one night's signals, scorings and true heartbeats into `out`; return its row of `participants.tsv`.

    Parameters as in `write_cohort`.
    """
    night = simulate_night(seed, recording.night, recording.subset, hours, population)
    rhythm = simulate_cardiac_rhythm(night)
    _path(out, recording, "").parent.mkdir(exist_ok=True)
    if device:
        values = zip(*averaged_rate(rhythm.beats, device, night.generator("device")), strict=True)
        rows = "".join(f"{time:g},{per_minute:g}\n" for time, per_minute in values)
        _path(out, recording, "Rate.csv").write_text(f"time,heart_rate\n{rows}", encoding="utf-8")
    elif channels == "beats":
        times = "\n".join(f"{beat:.4f}" for beat in rhythm.beats)
        _path(out, recording, "Beats.csv").write_text(f"time\n{times}\n", encoding="utf-8")
    if channels != "beats":
        signals = list(_signals(night, rhythm, recording, channels, rate))
        _edf(night, recording, signals).write(_path(out, recording, "PSG.edf"))
    for number, annotations in enumerate(_scorings(night, recording.standard, scorers), start=1):
        name = "Base.edf" if number == 1 else f"Scorer{number}.edf"
        _edf(night, recording, annotations=annotations).write(_path(out, recording, name))
    (out / "truth").mkdir(exist_ok=True)
    np.savez(
        out / "truth" / f"{recording.identifier}.npz",
        beats=rhythm.beats,
        kinds=rhythm.kinds,
        clean=artifact_free(night, rhythm.beats),
        states=night.states,
    )
    return _participant(night, recording)


def _check(nights: int, hours: float, seed: int, jobs: int, channels: str, rate: int, scorers: int) -> None:
    require(nights >= 1, "nights", f"must be at least 1, is {nights}")
    require(SHORTEST_HOURS <= hours <= 24, "hours", f"must be from {SHORTEST_HOURS} to 24, is {hours}")
    require(seed >= 0, "seed", f"must be 0 or more, is {seed}")
    require(jobs >= 1, "jobs", f"must be at least 1, is {jobs}")
    require(scorers >= 1, "scorers", f"must be at least 1, is {scorers}")
    require(channels in CHANNEL_SETS, "channels", f"must be one of {', '.join(CHANNEL_SETS)}; is {channels!r}")
    require(rate >= LOWEST_RATE, "rate", f"must be at least {LOWEST_RATE} Hz, is {rate}")


def _path(out: Path, recording: PlannedRecording, file: str) -> Path:
    return out / f"{recording.subset}_EDF" / f"{recording.identifier} {file}"


def _signals(
    night: SimulatedNight, rhythm: CardiacRhythm, recording: PlannedRecording, channels: str, rate: int
) -> Iterator[EdfSignal]:
    """Each channel of the PSG file, in order."""
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
    unit = recording.ecg_unit
    for lead in recording.leads(channels):
        ecg = simulate_ecg(night, rhythm, rate, lead) * np.float32(1000 if unit == "uV" else 1)
        yield _edf_signal(ecg, rate, f"ECG {lead}", unit)


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


def _edf(
    night: SimulatedNight,
    recording: PlannedRecording,
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
        patient=Patient(code=recording.identifier, sex=night.subject.sex),
        recording=Recording(startdate=start.date(), equipment_code="sleepkd.simulate"),
        starttime=start.time(),
        annotations=annotations,
    )


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
