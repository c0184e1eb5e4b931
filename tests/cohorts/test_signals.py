from datetime import datetime, timedelta

import mne
import numpy as np
import pytest

from sleepkd.cohorts.condition import detect_polarity
from sleepkd.cohorts.layout import load_cohort
from sleepkd.cohorts.signals import Derivation
from sleepkd.cohorts.signals.edf import EdfFile
from sleepkd.errors import UserError
from tests.cohorts.raw import DREAMS, START, channel, needs_dreams, write_psg

RATE = 256
SECONDS = 20
COHORT = load_cohort("mass")
SS4 = COHORT.subsets["SS4"]


def wave(frequency_hz: float, amplitude: float = 100.0, rate_hz: float = RATE) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(int(SECONDS * rate_hz)) / rate_hz)


def psg(tmp_path, signals: dict[str, np.ndarray], unit: str = "uV") -> EdfFile:
    channels = [channel(label, samples, RATE, unit, full_scale=500) for label, samples in signals.items()]
    return EdfFile(write_psg(tmp_path / "PSG.edf", channels))


A, B, C = wave(3), wave(5, 40), wave(7, 20)
STEP = 1000 / 65535  # of 500 to either side in 16 bits


@pytest.mark.parametrize(
    ("signals", "expected", "derivation"),
    [
        ({"EEG C4-CLE": C, "EEG A2-CLE": B, "EEG C3-CLE": A}, A - B, "EEG C3-CLE - EEG A2-CLE"),
        ({"EEG C3-CLE": C, "EEG C4-CLE": A, "EEG A1-CLE": B}, A - B, "EEG C4-CLE - EEG A1-CLE"),
        ({"EEG C4-LER": C, "EEG C3-LER": A, "EEG A2-LER": B}, A, "EEG C3-LER"),
        ({"eeg c3-cle": A, "eeg a2-cle": B}, A - B, "eeg c3-cle - eeg a2-cle"),
        ({"C3-CLE": A, "A2-CLE": B}, A - B, "C3-CLE - A2-CLE"),
    ],
    ids=["C3-A2", "C4-A1 where there is only A1", "C3-LER", "lower case", "no prefix"],
)
def test_the_eeg_of_mass(tmp_path, signals, expected, derivation):
    derived = psg(tmp_path, signals).derive(COHORT.signals["eeg"], "uV")
    assert (derived.derivation, derived.unit, derived.rate_hz) == (derivation, "uV", RATE)
    np.testing.assert_allclose(derived.samples, expected, rtol=0, atol=1.01 * STEP)


@pytest.mark.parametrize("label", ["ECG ECGI", "ECG I", "ECGI", "ecg ecgi", "Ecg i"])
def test_channel_names_of_lead_one(tmp_path, label):
    edf = psg(tmp_path, {"EEG C3-CLE": A, "ECG ECGII": B, "ECG ECGIII": B, "EMG I": B, label: C})
    assert edf.derive(COHORT.signals["ecg"], "uV").derivation == label


@pytest.mark.parametrize("prefix", ["ECG ECG", "ECG ", "ECG"])
def test_subset_4_has_lead_two(tmp_path, prefix):
    edf = psg(tmp_path, {f"{prefix}{lead}": samples for lead, samples in (("I", A), ("II", B), ("III", C))})
    derived = edf.derive(SS4.signals["ecg"], "uV")
    assert derived.derivation == f"{prefix}II"
    np.testing.assert_allclose(derived.samples, B, rtol=0, atol=STEP)


def test_the_error_for_no_fitting_channel_lists_the_channels(tmp_path):
    edf = psg(tmp_path, {"EEG C3-CLE": A, "EEG Fpz": B})
    with pytest.raises(UserError) as refused:
        edf.derive(COHORT.signals["eeg"], "uV")
    assert str(refused.value).startswith(f"{edf.path}: no channel fits (EEG )?C3-CLE minus (EEG )?A2-CLE or ")
    assert str(refused.value).endswith("it has EEG C3-CLE, EEG Fpz")


def test_a_pattern_must_match_the_whole_name(tmp_path):
    with pytest.raises(UserError, match="no channel fits"):
        psg(tmp_path, {"ECG ECGI raw": A, "My ECGI": B}).derive(COHORT.signals["ecg"], "uV")


@pytest.mark.parametrize(
    ("header", "microvolt"),
    [("uV", 1), ("UV", 1), ("uv", 1), ("mV", 1e3), ("MV", 1e3), ("V", 1e6), (b"\xb5V", 1), ("µV".encode(), 1)],
)
def test_units_of_the_header(tmp_path, header, microvolt):
    """Capitals that MNE does not scale, and micro signs in two encodings, are recognised."""
    path = write_psg(tmp_path / "PSG.edf", [channel("ECG", A, RATE, "QQQ", full_scale=500)])
    unit = header.encode() if isinstance(header, str) else header
    path.write_bytes(path.read_bytes().replace(b"QQQ     ", unit.ljust(8), 1))
    for target, factor in (("uV", microvolt), ("mV", microvolt / 1000)):
        derived = EdfFile(path).derive([Derivation("ECG")], target)
        assert derived.unit == target
        np.testing.assert_allclose(derived.samples, A * factor, rtol=0, atol=STEP * factor)


@pytest.mark.parametrize("header", ["uV", "mV", "MV", "nonsense", ""])
@pytest.mark.parametrize(("unit", "millivolt"), [("uV", 1e-3), ("mV", 1), ("V", 1e3), ("arbitrary", 1)])
def test_the_unit_of_a_derivation_overrides_the_header(tmp_path, header, unit, millivolt):
    edf = psg(tmp_path, {"ECG": A}, unit=header)
    derived = edf.derive([Derivation("ECG", unit=unit)], "mV")
    assert derived.unit == ("arbitrary" if unit == "arbitrary" else "mV")
    np.testing.assert_allclose(derived.samples, A * millivolt, rtol=0, atol=STEP * millivolt)


def test_an_unknown_unit_is_arbitrary(tmp_path):
    derived = psg(tmp_path, {"ECG": A}, unit="%").derive([Derivation("ECG")], "mV")
    assert derived.unit == "arbitrary"
    np.testing.assert_allclose(derived.samples, A, rtol=0, atol=STEP)


def test_channels_of_other_rates_do_not_matter(tmp_path):
    channels = [channel("SAO2", np.ones(SECONDS), 1), channel("ECG", A, RATE), channel("EMG", wave(9, 1, 1024), 1024)]
    derived = EdfFile(write_psg(tmp_path / "PSG.edf", channels)).derive([Derivation("ECG")], "uV")
    assert (derived.rate_hz, len(derived.samples)) == (RATE, RATE * SECONDS)
    np.testing.assert_allclose(derived.samples, A, rtol=0, atol=STEP)


def test_a_fractional_rate_is_kept(tmp_path):
    samples = wave(3, rate_hz=255.5)
    path = write_psg(tmp_path / "PSG.edf", [channel("ECG", samples, 255.5)], record_seconds=2)
    derived = EdfFile(path).derive([Derivation("ECG")], "uV")
    assert (derived.rate_hz, len(derived.samples)) == (255.5, 255.5 * SECONDS)


def test_a_difference_of_two_rates_is_refused(tmp_path):
    channels = [channel("EEG C3-CLE", A, RATE), channel("EEG A2-CLE", wave(5, rate_hz=128), 128)]
    with pytest.raises(UserError, match=r"PSG\.edf: EEG C3-CLE and EEG A2-CLE were recorded at different rates"):
        EdfFile(write_psg(tmp_path / "PSG.edf", channels)).derive(COHORT.signals["eeg"], "uV")


@pytest.mark.filterwarnings("ignore:Creating EDF")
@pytest.mark.parametrize("fraction", [0.0, 0.25])
def test_the_start_is_known_to_the_fraction_of_a_second(tmp_path, fraction):
    start = START + timedelta(seconds=fraction)
    edf = EdfFile(write_psg(tmp_path / "PSG.edf", [channel("ECG", A, RATE)], start))
    assert datetime.combine(edf.start().date, edf.start().time) + timedelta(seconds=edf.start().offset_s) == start


def test_a_header_with_an_accent_and_without_a_time(tmp_path):
    path = write_psg(tmp_path / "PSG.edf", [channel("ECG", A, RATE)])
    whole = path.read_bytes()
    path.write_bytes(whole[:8] + b"X M X \xc9ric".ljust(80) + whole[88:176] + b"X".ljust(8) + whole[184:])
    edf = EdfFile(path)
    assert (edf.start().date, edf.start().time) == (START.date(), None)
    assert edf.derive([Derivation("ECG")], "uV").derivation == "ECG"


@pytest.mark.parametrize("rates", [(RATE, RATE), (RATE, 128), (128, RATE)])
def test_the_first_of_two_channels_of_one_name_is_read(tmp_path, rates):
    """By index, not by a label that both have: a dict of labels would hold the last one's unit and rate."""
    channels = [
        channel("ECG", wave(3, rate_hz=rates[0]), rates[0], "mV", full_scale=500),
        channel("EMG", wave(9, 7), RATE),
        channel("ECG", wave(5, rate_hz=rates[1]), rates[1], "uV", full_scale=700),
    ]
    derived = EdfFile(write_psg(tmp_path / "PSG.edf", channels)).derive([Derivation("ECG")], "mV")
    assert (derived.rate_hz, derived.unit, derived.derivation) == (rates[0], "mV", "ECG")
    np.testing.assert_allclose(derived.samples, wave(3, rate_hz=rates[0]), rtol=0, atol=STEP)


def test_samples_equal_those_of_mne_to_the_last_bit(tmp_path):
    """MNE converts to volts."""
    for unit in ("uV", "mV", "UV"):
        edf = psg(tmp_path, {"ECG": np.random.default_rng(0).normal(size=SECONDS * RATE)}, unit)
        volts = {"uV": 1e-6, "mV": 1e-3, "UV": 1.0}[unit]
        expected = mne.io.read_raw_edf(edf.path, include=["ECG"], verbose="error").get_data()[0] / volts
        np.testing.assert_array_equal(edf.derive([Derivation("ECG", unit="arbitrary")], "mV").samples, expected)


def test_the_duration_of_a_recording(tmp_path):
    assert psg(tmp_path, {"ECG": A}).seconds == SECONDS


def test_a_decimal_comma_in_the_header_is_read(tmp_path):
    path = psg(tmp_path, {"ECG": A}).path
    path.write_bytes(path.read_bytes().replace(b"-500    ", b"-500,0  ", 1))
    np.testing.assert_allclose(EdfFile(path).derive([Derivation("ECG")], "uV").samples, A, rtol=0, atol=STEP)


def test_an_empty_range_leaves_the_stored_numbers(tmp_path):
    path = psg(tmp_path, {"ECG": A}).path
    whole = path.read_bytes()
    at = 256 + 16 + 80 + 8  # physical minimum, then maximum, of the only signal
    path.write_bytes(whole[:at] + b"5".ljust(8) * 2 + whole[at + 16 :])
    derived = EdfFile(path).derive([Derivation("ECG")], "uV")
    assert np.ptp(derived.samples) == pytest.approx(np.ptp(A) / 1000 * 65535, rel=0.01)
    assert (derived.unit, derived.remarks) == (
        "arbitrary",
        ("WARNING: ECG has no range (physical or digital min and max)",),
    )


HEADER = 256 * 3


@pytest.mark.parametrize(
    "size", [0, 1, 255, 256, HEADER - 1, HEADER, HEADER + 1, HEADER + 1024, HEADER + 5 * 1024 + 7, -1]
)
def test_a_file_that_is_cut_off_is_rejected(tmp_path, size):
    path = psg(tmp_path, {"EEG C3-LER": A, "ECG ECGI": B}).path
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match=r"PSG\.edf: is (cut off: .*records|cut off within its header|not an EDF)"):
        EdfFile(path)


@pytest.mark.parametrize(
    ("at", "field", "message"),
    [
        (236, b"21", "is cut off: its header says 21 data records, it holds 20"),
        (236, b"many", "is damaged: its header says 'many' for the number of data records"),
        (244, b"0", "is damaged: its header gives records no duration"),
        (252, b"zwei", "is damaged: its header says 'zwei' for the number of signals"),
    ],
    ids=["a record less", "records no number", "records of 0 s", "signals no number"],
)
def test_a_header_that_does_not_fit_the_file_is_rejected(tmp_path, at, field, message):
    path = psg(tmp_path, {"EEG C3-LER": A, "ECG ECGI": B}).path
    whole = bytearray(path.read_bytes())
    length = 4 if at == 252 else 8
    whole[at : at + length] = field.ljust(length)
    path.write_bytes(whole)
    with pytest.raises(UserError, match=rf"PSG\.edf: {message}"):
        EdfFile(path)


def test_a_file_without_records_is_rejected(tmp_path):
    path = psg(tmp_path, {"ECG": A}).path
    whole = path.read_bytes()
    path.write_bytes(whole[:236] + b"0".ljust(8) + whole[244:512])
    with pytest.raises(UserError, match=r"PSG\.edf: holds no data record"):
        EdfFile(path)


@pytest.mark.filterwarnings("ignore:Creating EDF")
def test_an_interrupted_recording_is_placed_by_its_record_times(tmp_path):
    path = write_psg(tmp_path / "PSG.edf", [channel("ECG", A, RATE)], START + timedelta(seconds=0.5))
    path.write_bytes(path.read_bytes().replace(b"EDF+C", b"EDF+D", 1))
    EdfFile(path)  # marked as interrupted, but without a gap
    assert EdfFile(path).gaps == []
    for i in range(10, SECONDS):
        path.write_bytes(path.read_bytes().replace(b"+%d.5\x14\x14" % i, b"+%d.7\x14\x14" % i, 1))
    edf = EdfFile(path)
    assert edf.gaps == [(10.0, pytest.approx(10.2))]
    assert edf.seconds == pytest.approx(SECONDS + 0.2)
    derived = edf.derive([Derivation("ECG")], "uV").samples
    np.testing.assert_allclose(derived[: 10 * RATE], A[: 10 * RATE], rtol=0, atol=STEP)
    np.testing.assert_allclose(derived[-(SECONDS - 10) * RATE :], A[10 * RATE :], rtol=0, atol=STEP)


def test_a_unit_that_is_no_voltage_leaves_the_numbers_with_a_warning(tmp_path):
    derived = psg(tmp_path, {"ECG": A}, "DegC").derive([Derivation("ECG")], "mV")
    assert derived.unit == "arbitrary"
    assert derived.remarks == ("WARNING: ECG is in 'DegC', no voltage: the numbers are taken as they are",)
    assert psg(tmp_path, {"ECG": A}, "DegC").derive([Derivation("ECG", unit="mV")], "mV").remarks == ()


# --- the real recording ---


@needs_dreams
def test_units_and_polarity_of_the_real_recording():
    cohort = load_cohort("dreams")
    edf = EdfFile(DREAMS / "excerpt3.edf")
    eeg, ecg = edf.derive(cohort.signals["eeg"], "uV"), edf.derive(cohort.signals["ecg"], "mV")
    assert (eeg.derivation, eeg.unit, ecg.unit) == ("C3-A1", "uV", "arbitrary")
    assert eeg.samples.std() == pytest.approx(20.7, abs=0.05)
    assert len(eeg.samples) == len(ecg.samples) == 1800 * eeg.rate_hz
    assert 50 < np.abs(ecg.samples).max() < 200
    assert detect_polarity(ecg.samples, ecg.rate_hz) == -1
    start = edf.start()
    assert datetime.combine(start.date, start.time).isoformat() == "2003-11-17T03:27:00"
