"""Recordings of five minutes in the layout, the names and the formats of each cohort that is shipped."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import wfdb
from scipy.io import savemat

from tests.cohorts.mass import noise
from tests.cohorts.raw import channel, heartbeats, write_psg, write_scoring

SECONDS, RATE = 300, 100
EEG = noise(SECONDS, RATE, 20)
ECG = heartbeats(SECONDS, RATE, 0)
FIVE = ("W", "N1", "N2", "N3", "REM")


def edf(path: Path, eeg: tuple[str, ...], ecg: tuple[str, ...], own: float = 0.0) -> Path:
    """Signals; of two channels, the second is subtracted. own: makes nights differ. They start at START, 22:30:00."""
    channels = [channel(eeg[0], EEG * (1 + own), RATE)] + [channel(label, 0 * EEG, RATE) for label in eeg[1:]]
    channels += [channel(ecg[0], ECG * (1 + own), RATE, "mV")] if ecg else []
    channels += [channel(label, 0 * ECG, RATE, "mV") for label in ecg[1:]]
    return write_psg(path, channels)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def annotated(path: Path, names: tuple[str, ...], every: float = 30.0) -> None:
    write_scoring(path, [(every * k, every, names[k % len(names)]) for k in range(int(SECONDS / every))])


def record(folder: Path, name: str, labels: list[str], own: float = 0.0) -> None:
    """A WFDB record of an EEG and an ECG."""
    folder.mkdir(parents=True, exist_ok=True)
    signals = np.stack([EEG / 1000, ECG], axis=1) * (1 + own)
    wfdb.wrsamp(name, RATE, ["mV", "mV"], labels, p_signal=signals, fmt=["16", "16"], write_dir=str(folder))


def notes(folder: Path, name: str, extension: str, samples: list[int], texts: list[str], symbol: str = '"') -> None:
    aux = None if symbol == "N" else texts
    wfdb.wrann(
        name, extension, np.array(samples), [symbol] * len(samples), aux_note=aux, fs=RATE, write_dir=str(folder)
    )


def nsrr(path: Path) -> None:
    concepts = ("Wake|0", "Stage 1 sleep|1", "Stage 2 sleep|2", "Stage 3 sleep|3", "REM sleep|5")
    event = "<ScoredEvent><EventType>{}</EventType><EventConcept>{}</EventConcept>"
    event += "<Start>{}</Start><Duration>{}</Duration></ScoredEvent>"
    events = [event.format("Stages|Stages", concepts[k % 5], 30 * k, 30.0) for k in range(10)]
    events.insert(3, event.format("Respiratory|Respiratory", "Hypopnea|Hypopnea", 61.2, 14.0))
    text(path, f"<?xml version='1.0'?><PSGAnnotation><ScoredEvents>{''.join(events)}</ScoredEvents></PSGAnnotation>")


def mass(raw: Path) -> None:
    edf(raw / "SS1_EDF" / "01-01-0001 PSG.edf", ("EEG C3-CLE", "EEG A2-CLE"), ("ECG ECGI",))
    annotated(raw / "SS1_EDF" / "01-01-0001 Base.edf", tuple(f"Sleep stage {x}" for x in "W123R"))


def mass_second(raw: Path) -> None:
    """The other variant: another name of the annotations, ECGII, R&K."""
    edf(raw / "SS4_EDF" / "01-04-0001_PSG.edf", ("EEG C4-CLE", "EEG A1-CLE"), ("ECG ECGII",))
    annotated(raw / "SS4_EDF" / "01-04-0001_Annotations.edf", tuple(f"Sleep stage {x}" for x in "W124R"), 20.0)


def dreams(raw: Path) -> None:
    edf(raw / "excerpt3.edf", ("C3-A1",), ("ECG",))
    values = [v for stage in ("5", "3", "2", "1", "4") * 3 for v in [stage] * 4]
    text(raw / "Hypnogram_excerpt3.txt", "\n".join(["[Hypnogram]", *values]))


def mat(folder: Path, name: str, labels: list[str]) -> None:
    """A WFDB record whose samples follow the 24 bytes that begin a .mat file."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = np.rint(np.stack([EEG * 10, ECG * 1000], axis=1)).astype("<i2")
    (folder / f"{name}.mat").write_bytes(bytes(24) + samples.tobytes())
    gains = zip(("10/uV", "1000/mV"), labels, strict=True)
    lines = [f"{name}.mat 16+24 {gain} 16 0 0 0 0 {label}" for gain, label in gains]
    text(folder / f"{name}.hea", "\n".join([f"{name} 2 {RATE} {len(samples)}", *lines]) + "\n")


def slpdb(raw: Path, part: str = "a", own: float = 0.0) -> None:
    record(raw, f"slp01{part}", ["EEG (C4-A1)", "ECG"], own)
    notes(raw, f"slp01{part}", "st", [1, *(30 * RATE * k for k in range(1, 10))], ["W", "1 HA", "2", "3 LA", "R"] * 2)


def slpdb_beats(raw: Path) -> None:
    slpdb(raw)
    beats = np.rint(np.cumsum(np.random.default_rng(0).normal(1, 0.05, 299)) * RATE).astype(int)
    notes(raw, "slp01a", "ecg", list(beats[beats < SECONDS * RATE]), [], "N")
    (raw / "slp01a.dat").unlink()


def apnea_ecg(raw: Path) -> None:
    record(raw, "a01", ["EEG", "ECG"])
    beats = np.rint(np.cumsum(np.random.default_rng(0).normal(1, 0.05, 299)) * RATE).astype(int)
    notes(raw, "a01", "qrs", list(beats[beats < SECONDS * RATE]), [], "N")
    (raw / "a01.dat").unlink()


def hmc(raw: Path) -> None:
    edf(raw / "recordings" / "SN001.edf", ("EEG C4-M1",), ("ECG",))
    annotated(
        raw / "recordings" / "SN001_sleepscoring.edf", tuple(f"Sleep stage {x}" for x in ("W", "N1", "N2", "N3", "R"))
    )


def cap(raw: Path) -> None:
    edf(raw / "n1.edf", ("C4-A1",), ("ECG1-ECG2",))
    stages = ("S0", "S1", "S2", "S3", "REM")
    lines = ["Patient: n1", "", "Sleep Stage\tPosition\tTime [hh:mm:ss]\tEvent\tDuration[s]\tLocation"]
    for k in range(10):
        clock = f"22:{30 + k // 2:02d}:{k % 2 * 30:02d}"
        lines.append(f"{stages[k % 5]}\tUnknown\t{clock}\tSLEEP-{stages[k % 5]}\t30\tROC-LOC")
        lines.append(f"{stages[k % 5]}\tUnknown\t{clock}\tMCAP-A1\t7\tF4-C4")
    text(raw / "n1.txt", "\n".join(lines))


def cinc2018(raw: Path) -> None:
    folder = raw / "training" / "tr03-0005"
    mat(folder, "tr03-0005", ["C3-M2", "ECG"])
    stages = ["W", "(arousal_rera", "arousal_rera)", "N1", "N2", "N3", "R"]
    notes(folder, "tr03-0005", "arousal", [1, 2000, 2500, 6000, 12000, 18000, 24000], stages)


def cap_second(raw: Path) -> None:
    """The other variant: no column of positions, dots, a space in a name, past midnight, a row cut off."""
    edf(raw / "nfle3.edf", ("C4", "A1"), ("ECG1", "ECG2"))
    lines = ["Sleep Stage\tTime [hh:mm:ss]\tEvent\tDuration [s]\tLocation"]
    for k, stage in enumerate(("S0", "S1", "S2", "S4", "REM", "MT")):
        lines.append(f"{stage}\t22.{30 + k // 2}.{k % 2 * 30:02d}\tSLEEP-{stage}\t30\tC4-A1")
    text(raw / "nfle3.txt", "\n".join([*lines, "S2\t22.33.00"]))


def ucddb(raw: Path) -> None:
    path = edf(raw / "ucddb002.edf", ("C3A2",), ("ECG",))
    path.rename(raw / "ucddb002.rec")
    text(raw / "ucddb002_stage.txt", "\n".join("02341" * 2) + "\n")


def isruc(raw: Path) -> None:
    for night in (1, 2):
        path = edf(raw / "subgroupII" / "1" / f"{night}.edf", ("C4-A1",), ("X2",), night / 100)
        path.rename(path.with_suffix(".rec"))
        text(raw / "subgroupII" / "1" / f"{night}_1.txt", "\r\n".join("01235" * 2))


def dcsm(raw: Path) -> None:
    edf(raw / "tp005f7e68" / "psg.edf", ("C4-M1",), ("ECG-II",))
    text(raw / "tp005f7e68" / "hypnogram.ids", "".join(f"{30 * k},30,{FIVE[k % 5]}\n" for k in range(10)))


def sleep_edf(raw: Path) -> None:
    edf(raw / "sleep-cassette" / "SC4001E0-PSG.edf", ("EEG Fpz-Cz",), ())
    annotated(raw / "sleep-cassette" / "SC4001EC-Hypnogram.edf", tuple(f"Sleep stage {x}" for x in "W123R"))
    edf(raw / "sleep-cassette" / "SC4002E0-PSG.edf", ("EEG Fpz-Cz",), (), 0.01)
    annotated(raw / "sleep-cassette" / "SC4002EH-Hypnogram.edf", tuple(f"Sleep stage {x}" for x in "W123R"))


def of_nsrr(name: str, folder: str, eeg: tuple[str, ...], ecg: tuple[str, ...]) -> Callable[[Path], None]:
    def write(raw: Path, own: float = 0.0) -> None:
        edf(raw / "polysomnography" / "edfs" / folder / f"{name}.edf", eeg, ecg, own)
        nsrr(raw / "polysomnography" / "annotations-events-nsrr" / folder / f"{name}-nsrr.xml")

    return write


def wsc(raw: Path, visit: int = 1, own: float = 0.0, first: int = 1) -> None:
    name = f"wsc-visit{visit}-10119-nsrr"
    edf(raw / "polysomnography" / f"{name}.edf", ("C4_M1",), ("ECG",), own)
    rows = [f"{k + 1}\t{'01235'[k % 5]}\t" for k in range(first - 1, 10)]
    text(
        raw / "polysomnography" / f"{name}.stg.txt", "\n".join(["Epoch\tUser-Defined Stage\tCAST-Defined Stage", *rows])
    )


def wsc_allscore(raw: Path) -> None:
    """A row before the recording, one without a text, a note in Latin-1, lights on at the end."""
    edf(raw / "polysomnography" / "wsc-visit3-13061-nsrr.edf", ("C3_M2",), ("ECG",))
    rows = ["22:10:00.00\tNEW MONTAGE", "22:30:00.00\tSTART RECORDING", "22:30:10.00", "22:30:20.00\tpatient à l'aise"]
    rows += [f"22:3{k}:00.00\tSTAGE - {stage}" for k, stage in enumerate(("W", "N1", "N2", "N3", "R"))]
    rows += ["22:34:30.00\tLIGHTS ON"]
    path = raw / "polysomnography" / "wsc-visit3-13061-nsrr.allscore.txt"
    path.write_bytes("\r\n".join(sorted(rows)).encode("latin1"))


def bids(raw: Path) -> None:
    edf(raw / "sub-01" / "eeg" / "sub-01_task-sleep_eeg.edf", ("C3", "M2"), ("ECG",))
    rows = [f"{30 * k}\t30\t{FIVE[k % 5]}" for k in range(10)]
    text(raw / "sub-01" / "eeg" / "sub-01_task-sleep_events.tsv", "\n".join(["onset\tduration\ttrial_type", *rows]))


def sleep_accel(raw: Path) -> None:
    rates = [f"{t:.2f},{60 + 5 * np.sin(t / 40):.0f}" for t in np.arange(-200, SECONDS, 4.0)]
    text(raw / "heart_rate" / "1066528_heartrate.txt", "\n".join(rates))
    text(raw / "labels" / "1066528_labeled_sleep.txt", "\n".join(f"{30 * k} {'01235'[k % 5]}" for k in range(10)))


def bidsleep(raw: Path, night: int = 1) -> None:
    rates = [f"{1.7e9 + 1e5 * night + t:.3f},{60 + night + 5 * np.sin(t / 40):.1f}" for t in np.arange(0, SECONDS, 5.0)]
    folder = raw / "Bidslab00" / str(night)
    text(folder / "hr.csv", "\n".join(rates))
    begin = datetime.fromtimestamp(1.7e9 + 1e5 * night, ZoneInfo("US/Eastern"))
    codes = np.arange(10)[None] % 5
    content = {"recStart": f"{begin:%Y-%m-%d %H:%M:%S}", "expert_label": codes, "dreem_label": 0 * codes}
    savemat(folder / "labels.mat", content)
    t = np.arange(0, SECONDS, 0.02)
    still = 1 + np.where((t >= 120) & (t < 150), 0.3 * np.sin(2 * np.pi * 5 * t), 0)  # moves in the fifth sleep epoch
    rows = (f"{1.7e9 + 1e5 * night + now:.2f},0,0,{z:.4f}" for now, z in zip(t, still, strict=True))
    text(folder / "motion.csv", "\n".join(["Timestamp,x,y,z", *rows]))


def dreamt(raw: Path) -> None:
    """64 rows per second, of which the slower sensors repeat a value and the heart rate is often blank."""
    t = np.arange(SECONDS * 64) / 64
    ppg = 50 * np.interp(t * RATE, np.arange(len(ECG)), np.convolve(ECG, np.hanning(31), "same"))
    moves = 64 + np.where((t >= 120) & (t < 150), 20 * np.sin(2 * np.pi * 5 * t), 0)
    stage = [("W", "N1", "N2", "N3", "R")[int(now // 30) % 5] for now in t]
    rows = [
        f"{now:.6f},{p:.2f},,0.1,{33 + now / 1e3:.2f},1,2,{z:.0f},60,{label}"
        for now, p, z, label in zip(t, ppg, moves, stage, strict=True)
    ]
    header = "TIMESTAMP,BVP,IBI,EDA,TEMP,ACC_X,ACC_Y,ACC_Z,HR,Sleep_Stage"
    text(raw / "data_64Hz" / "S002_whole_df.csv", "\n".join([header, *rows]))


def table_of_beats(raw: Path) -> None:
    text(raw / "p1_rr.csv", "\n".join(["rr_ms", *(f"{1000 + 30 * np.sin(k):.0f}" for k in range(SECONDS))]))
    rows = [f"{30 * k},30,{FIVE[k % 5]}" for k in range(10)]
    text(raw / "p1_stages.csv", "\n".join(["onset,duration,stage", *rows]))


def simulated_beats(raw: Path) -> None:
    mass(raw)
    (raw / "SS1_EDF" / "01-01-0001 PSG.edf").unlink()
    beats = np.cumsum(np.random.default_rng(0).normal(1, 0.05, 299))
    text(raw / "SS1_EDF" / "01-01-0001 Beats.csv", "\n".join(["time", *(f"{beat:.4f}" for beat in beats)]))


def simulated_rate(raw: Path) -> None:
    simulated_beats(raw)
    (raw / "SS1_EDF" / "01-01-0001 Beats.csv").unlink()
    rates = [f"{t},{60 + 5 * np.sin(t / 40):.0f}" for t in range(0, SECONDS + 1, 5)]
    text(raw / "SS1_EDF" / "01-01-0001 Rate.csv", "\n".join(["time,heart_rate", *rates]))


def simulated_on_beats(raw: Path) -> None:
    folder = raw / "aasm_30s" / "7"
    edf(folder / "7 PSG.edf", ("EEG C3-LER",), ("ECG ECGI",))
    annotated(folder / "7 Base.edf", tuple(f"Sleep stage {x}" for x in "W123R"))
    text(folder / "7 Beats.csv", "\n".join(["time", *(f"{beat:.4f}" for beat in np.arange(0.5, SECONDS, 1.0))]))


def simulated_on_rate(raw: Path) -> None:
    folder = raw / "aasm_30s" / "7"
    edf(folder / "7 PSG.edf", ("EEG C3-LER",), ())
    annotated(folder / "7 Base.edf", tuple(f"Sleep stage {x}" for x in "W123R"))
    text(folder / "7 Rate.csv", "\n".join(["time,heart_rate", *(f"{time},60" for time in range(0, SECONDS, 5))]))


WRITE = {
    "mass": mass, "dreams": dreams, "slpdb": slpdb, "slpdb_beats": slpdb_beats, "apnea_ecg": apnea_ecg,
    "hmc": hmc, "cap": cap,
    "simulated_beats": simulated_beats, "simulated_rate": simulated_rate,
    "simulated_on_beats": simulated_on_beats, "simulated_on_rate": simulated_on_rate,
    "cinc2018": cinc2018, "ucddb": ucddb, "isruc": isruc, "dcsm": dcsm, "sleep_edf": sleep_edf, "wsc": wsc,
    "wsc_allscore": wsc_allscore, "bids": bids,
    "sleep_accel": sleep_accel, "bidsleep": bidsleep, "dreamt": dreamt, "table_of_beats": table_of_beats,
    "shhs": of_nsrr("shhs1-200001", "shhs1", ("EEG",), ("ECG",)),
    "mesa": of_nsrr("mesa-sleep-0001", "", ("EEG3",), ("EKG",)),
    "mros": of_nsrr("mros-visit1-aa0001", "visit1", ("C4", "A1"), ("ECG L", "ECG R")),
    "cfs": of_nsrr("cfs-visit5-800002", "", ("C4", "M1"), ("ECG1", "ECG2")),
    "ccshs": of_nsrr("ccshs-trec-1800001", "", ("C4", "A1"), ("ECG1", "ECG2")),
}  # fmt: skip
BEATS_ALONE = {
    "slpdb_beats",
    "apnea_ecg",
    "simulated_beats",
    "simulated_rate",
    "sleep_accel",
    "bidsleep",
    "dreamt",
    "table_of_beats",
}


def two_of_nsrr(names: tuple[str, str], folders: tuple[str, str], eeg: tuple[str, ...], ecg: tuple[str, ...]):
    def write(raw: Path) -> None:
        for k, (name, folder) in enumerate(zip(names, folders, strict=True)):
            of_nsrr(name, folder, eeg, ecg)(raw, k / 100)

    return write


TWO_NIGHTS = {
    ("sleep_edf", "SC400"): sleep_edf,
    ("isruc", "subgroupII-1"): isruc,
    ("slpdb", "slp01"): lambda raw: [slpdb(raw, part, own) for part, own in (("a", 0.0), ("b", 0.01))],
    ("bidsleep", "Bidslab00"): lambda raw: [bidsleep(raw, night) for night in (1, 2)],
    ("wsc", "10119"): lambda raw: [wsc(raw, visit, visit / 100) for visit in (1, 2)],
    ("shhs", "200077"): two_of_nsrr(("shhs1-200077", "shhs2-200077"), ("shhs1", "shhs2"), ("EEG",), ("ECG",)),
    ("mros", "aa0001"): two_of_nsrr(
        ("mros-visit1-aa0001", "mros-visit2-aa0001"), ("visit1", "visit2"), ("C4", "A1"), ("ECG L", "ECG R")
    ),
}
