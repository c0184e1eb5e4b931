"""Every dataset YAML that is shipped, on a recording written in its cohort's layout, names and formats."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb

from sleepkd import prepare
from sleepkd.cohorts.layout import DATASETS, load_cohort
from sleepkd.data.hypnogram import SLEEP_STAGES
from sleepkd.data.store import Night, Store
from tests.cohorts.mass import noise
from tests.cohorts.raw import channel, heartbeats, write_psg, write_scoring

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # of wfdb
SECONDS, RATE = 300, 100
EEG = noise(SECONDS, RATE, 20)
ECG = heartbeats(SECONDS, RATE, 0)
FIVE = ("W", "N1", "N2", "N3", "REM")


def edf(path: Path, eeg: tuple[str, ...], ecg: tuple[str, ...], own: float = 0.0) -> Path:
    """Signals: what is subtracted comes second; own: tells nights apart. Times begin at START, 22:30:00."""
    channels = [channel(eeg[0], EEG * (1 + own), RATE)] + [channel(label, 0 * EEG, RATE) for label in eeg[1:]]
    channels += [channel(ecg[0], ECG * (1 + own), RATE, "mV")] if ecg else []
    channels += [channel(label, 0 * ECG, RATE, "mV") for label in ecg[1:]]
    return write_psg(path, channels)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def annotated(path: Path, names: tuple[str, ...], every: float = 30.0) -> None:
    write_scoring(path, [(every * k, every, names[k % len(names)]) for k in range(int(SECONDS / every))])


def record(folder: Path, name: str, labels: list[str]) -> None:
    """A WFDB record of an EEG and an ECG."""
    folder.mkdir(parents=True, exist_ok=True)
    signals = np.stack([EEG / 1000, ECG], axis=1)
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
    """The variants: LER, the annotations' other name, ECGII, R&K."""
    edf(raw / "SS4_EDF" / "01-04-0001_PSG.edf", ("EEG C4-CLE", "EEG A1-CLE"), ("ECG ECGII",))
    annotated(raw / "SS4_EDF" / "01-04-0001_Annotations.edf", tuple(f"Sleep stage {x}" for x in "W124R"), 20.0)


def dreams(raw: Path) -> None:
    edf(raw / "excerpt3.edf", ("C3-A1",), ("ECG",))
    values = [v for stage in ("5", "3", "2", "1", "4") * 3 for v in [stage] * 4]
    text(raw / "Hypnogram_excerpt3.txt", "\n".join(["[Hypnogram]", *values]))


def slpdb(raw: Path) -> None:
    record(raw, "slp01a", ["EEG (C4-A1)", "ECG"])
    notes(raw, "slp01a", "st", [1, *(30 * RATE * k for k in range(1, 10))], ["W", "1 HA", "2", "3 LA", "R"] * 2)


def slpdb_beats(raw: Path) -> None:
    slpdb(raw)
    beats = np.rint(np.cumsum(np.random.default_rng(0).normal(1, 0.05, 299)) * RATE).astype(int)
    notes(raw, "slp01a", "ecg", list(beats[beats < SECONDS * RATE]), [], "N")
    (raw / "slp01a.dat").unlink()


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
    record(folder, "tr03-0005", ["C3-M2", "ECG"])
    stages = ["W", "(arousal_rera", "arousal_rera)", "N1", "N2", "N3", "R"]
    notes(folder, "tr03-0005", "arousal", [1, 2000, 2500, 6000, 12000, 18000, 24000], stages)


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
    def write(raw: Path) -> None:
        edf(raw / "polysomnography" / "edfs" / folder / f"{name}.edf", eeg, ecg)
        nsrr(raw / "polysomnography" / "annotations-events-nsrr" / folder / f"{name}-nsrr.xml")

    return write


def wsc(raw: Path) -> None:
    edf(raw / "polysomnography" / "wsc-visit1-10119-nsrr.edf", ("C4_M1",), ("ECG",))
    lines = ["Epoch Num\tUser-Defined Stage\tCAST-Defined Stage", *(f"{k + 1}\t{'01235'[k % 5]}\t" for k in range(10))]
    text(raw / "polysomnography" / "wsc-visit1-10119-nsrr.stg.txt", "\n".join(lines))


def bids(raw: Path) -> None:
    edf(raw / "sub-01" / "eeg" / "sub-01_task-sleep_eeg.edf", ("C3", "M2"), ("ECG",))
    rows = [f"{30 * k}\t30\t{FIVE[k % 5]}" for k in range(10)]
    text(raw / "sub-01" / "eeg" / "sub-01_task-sleep_events.tsv", "\n".join(["onset\tduration\ttrial_type", *rows]))


def sleep_accel(raw: Path) -> None:
    rates = [f"{t:.2f},{60 + 5 * np.sin(t / 40):.0f}" for t in np.arange(-200, SECONDS, 4.0)]
    text(raw / "heart_rate" / "1066528_heartrate.txt", "\n".join(rates))
    text(raw / "labels" / "1066528_labeled_sleep.txt", "\n".join(f"{30 * k} {'01235'[k % 5]}" for k in range(10)))


def bidsleep(raw: Path) -> None:
    rates = [f"{1.7e9 + t:.3f},{60 + 5 * np.sin(t / 40):.1f}" for t in np.arange(0, SECONDS, 5.0)]
    text(raw / "Bidslab00" / "1" / "hr.csv", "\n".join(rates))


def table_of_beats(raw: Path) -> None:
    text(raw / "p1_rr.csv", "\n".join(["rr_ms", *(f"{1000 + 30 * np.sin(k):.0f}" for k in range(SECONDS))]))
    rows = [f"{30 * k},30,{FIVE[k % 5]}" for k in range(10)]
    text(raw / "p1_stages.csv", "\n".join(["onset,duration,stage", *rows]))


WRITE = {
    "mass": mass, "dreams": dreams, "slpdb": slpdb, "slpdb_beats": slpdb_beats, "hmc": hmc, "cap": cap,
    "cinc2018": cinc2018, "ucddb": ucddb, "isruc": isruc, "dcsm": dcsm, "sleep_edf": sleep_edf, "wsc": wsc,
    "bids": bids,
    "sleep_accel": sleep_accel, "bidsleep": bidsleep, "table_of_beats": table_of_beats,
    "shhs": of_nsrr("shhs1-200001", "shhs1", ("EEG",), ("ECG",)),
    "mesa": of_nsrr("mesa-sleep-0001", "", ("EEG3",), ("EKG",)),
    "mros": of_nsrr("mros-visit1-aa0001", "visit1", ("C4", "A1"), ("ECG L", "ECG R")),
    "cfs": of_nsrr("cfs-visit5-800002", "", ("C4", "M1"), ("ECG1", "ECG2")),
    "ccshs": of_nsrr("ccshs-trec-1800001", "", ("C4", "A1"), ("ECG1", "ECG2")),
}  # fmt: skip
BEATS_ALONE = {"slpdb_beats", "sleep_accel", "bidsleep", "table_of_beats"}


def prepared(raw: Path, out: Path, dataset: str) -> Store:
    assert prepare.main(["--dataset", dataset, "--raw", str(raw), "--out", str(out), "--rate", "64"]) == 0
    return Store(out)


def stages(night: Night) -> list[str]:
    return [SLEEP_STAGES[label] if label >= 0 else "unscored" for label in night.hypnogram.labels]


def test_every_shipped_cohort_is_here():
    assert {path.stem for path in DATASETS.glob("*.yaml")} == set(WRITE)
    nowhere = ("slpdb_beats", "bids", "table_of_beats")
    assert all(load_cohort(name).source or name in nowhere for name in WRITE)


@pytest.mark.parametrize("name", WRITE)
def test_a_recording_in_its_layout(tmp_path, name):
    WRITE[name](tmp_path / "raw")
    store = prepared(tmp_path / "raw", tmp_path / "store", name)
    cohort = load_cohort(name)
    for recording in store.recordings:
        night = store.open(recording)
        info = night.info
        assert (set(info.signals) == set()) == (name in BEATS_ALONE)
        if "eeg" in info.signals:
            values = night.signal("eeg") * info.signals["eeg"].scale + info.signals["eeg"].offset
            assert info.signals["eeg"].unit == "uV"
            assert values.std() == pytest.approx(20, rel=0.3)  # the filter takes some of the noise
        assert ("ecg" in info.signals) == (bool(cohort.ecg))
        if cohort.ecg or cohort.beats:
            assert 60 / info.beats.median_s == pytest.approx(60, rel=0.1)
        if name == "bidsleep":
            assert not night.has_labels
        elif name == "cinc2018":
            assert stages(night) == [stage for stage in FIVE for _ in range(2)]
        else:
            assert set(night.hypnogram.duration_s) == {cohort.epoch_seconds}
            np.testing.assert_allclose(np.diff(night.hypnogram.onset_s), cohort.epoch_seconds, atol=0.02)
            assert night.hypnogram.onset_s[0] == pytest.approx(0, abs=0.02)
            assert stages(night) == list(FIVE) * (len(night.hypnogram) // 5)
            assert len(night.hypnogram) in (10, 15)


def test_the_other_variant_of_mass(tmp_path):
    mass_second(tmp_path / "raw")
    night = prepared(tmp_path / "raw", tmp_path / "store", "mass").open("01-04-0001")
    assert (night.info.standard, set(night.hypnogram.duration_s)) == ("rk", {20.0})
    assert night.info.signals["eeg"].derivation == "EEG C4-CLE - EEG A1-CLE"
    assert night.info.signals["ecg"].derivation == "ECG ECGII"


@pytest.mark.parametrize(("name", "subject"), [("sleep_edf", "SC400"), ("isruc", "subgroupII-1")])
def test_two_nights_of_one_person_are_of_one_subject(tmp_path, name, subject):
    WRITE[name](tmp_path / "raw")
    store = prepared(tmp_path / "raw", tmp_path / "store", name)
    assert [store.info(recording).subject for recording in store.recordings] == [subject] * 2
