"""Signals of WFDB records."""

from pathlib import Path

import numpy as np
import pytest
import wfdb

from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.signals import Derivation
from sleepkd.cohorts.signals.wfdb_record import WfdbRecord
from sleepkd.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # of wfdb
RATE, N = 100, 3000
WAVE = np.sin(np.arange(N) / 10)


def record(folder: Path, *lines: str, first: str = f"r 2 {RATE} {N}", offset: int = 0) -> Path:
    """Two channels of whole numbers, 1000 and 500 sin; `lines`: their lines in the header."""
    values = np.rint(np.stack([1000 * WAVE, 500 * WAVE], axis=1)).astype("<i2")
    (folder / "r.dat").write_bytes(bytes(offset) + values.tobytes())
    (folder / "r.hea").write_text("\n".join([first, *lines, "# a comment"]) + "\n")
    return folder / "r.hea"


def channel(path: Path, name: str, unit: str = "uV", minus: str = ""):
    return WfdbRecord(path).derive([Derivation(name, minus)], unit)


def test_units_and_gains_of_the_header(tmp_path):
    path = record(tmp_path, "r.dat 16 1/uV 16 0 0 0 0 C3-M2", "r.dat 16 1000(0)/mV 16 0 0 0 0 ECG")
    np.testing.assert_allclose(channel(path, "C3-M2").samples, 1000 * WAVE, atol=0.5)
    np.testing.assert_allclose(channel(path, "ECG", "mV").samples, 0.5 * WAVE, atol=0.001)
    both = channel(path, "C3-M2", minus="ECG")
    np.testing.assert_allclose(both.samples, 500 * WAVE, atol=1)
    assert (both.rate_hz, both.derivation, both.unit, both.remarks) == (RATE, "C3-M2 - ECG", "uV", ())


def test_samples_after_the_header_of_a_mat_file(tmp_path):
    path = record(tmp_path, "r.dat 16+24 1/uV 16 0 0 0 0 C3-M2", "r.dat 16+24 1000/mV 16 0 0 0 0 ECG", offset=24)
    np.testing.assert_allclose(channel(path, "ECG", "mV").samples, 0.5 * WAVE, atol=0.001)


@pytest.mark.parametrize("gain", [" 0 16", " 0/mV 16", ""])
def test_a_channel_without_a_gain_has_no_unit(tmp_path, gain):
    lines = [f"r.dat 16{gain}" + " 0 0 0 0 ECG" * bool(gain), "r.dat 16 1/uV 16 0 0 0 0 EEG"]
    signal = channel(record(tmp_path, *lines), "ECG|signal 1", "mV")
    assert signal.unit == "arbitrary"
    assert "has no gain in the header, so no unit" in signal.remarks[0]
    assert channel(tmp_path / "r.hea", "EEG").unit == "uV"


def test_start_and_length(tmp_path):
    lines = ["r.dat 16 1/uV 16 0 0 0 0 A", "r.dat 16 1/uV 16 0 0 0 0 B"]
    whole = WfdbRecord(record(tmp_path, *lines, first=f"r 2 {RATE} {N} 23:15:30.5 20/01/1989"))
    assert (whole.seconds, list(whole.rates)) == (30.0, [RATE, RATE])
    start = whole.start()
    assert (start.date.isoformat(), start.time.isoformat(), start.offset_s) == ("1989-01-20", "23:15:30", 0.5)
    without_date = WfdbRecord(record(tmp_path, *lines, first=f"r 2 {RATE} {N} 23:15:30")).start()
    assert without_date == Start(None, start.time)
    assert WfdbRecord(record(tmp_path, *lines)).start() is None


def test_channels_of_two_rates(tmp_path):
    slow, fast = np.arange(300.0), np.repeat(np.arange(300.0), 4)
    wfdb.wrsamp("r", 25, ["uV", "mV"], ["slow", "fast"], e_p_signal=[slow, fast], fmt=["16", "16"],
                samps_per_frame=[1, 4], write_dir=str(tmp_path))  # fmt: skip
    signal = channel(tmp_path / "r.hea", "fast", "mV")
    assert signal.rate_hz == 100
    np.testing.assert_allclose(signal.samples, fast, atol=0.02)
    with pytest.raises(UserError, match="fast and slow were recorded at different rates"):
        channel(tmp_path / "r.hea", "fast", minus="slow")


def test_missing_samples_are_filled_with_a_warning(tmp_path):
    path = record(tmp_path, "r.dat 16 1/uV 16 0 0 0 0 part", "r.dat 16 1/uV 16 0 0 0 0 none")
    values = np.fromfile(tmp_path / "r.dat", "<i2").reshape(-1, 2)
    values[1000:1200, 0] = values[:, 1] = -32768  # what format 16 writes for no value
    values.tofile(tmp_path / "r.dat")
    signal = channel(path, "part")
    assert np.isfinite(signal.samples).all()
    assert signal.remarks == ("WARNING: part has no value for 2 s, filled",)
    with pytest.raises(UserError, match=r"r\.hea: none has no value"):
        channel(path, "none")


def test_segments_are_joined_and_a_missing_one_is_refused(tmp_path):
    for k, name in enumerate("ab", 1):
        values = k * np.stack([WAVE, WAVE], axis=1)
        wfdb.wrsamp(name, RATE, ["uV", "mV"], ["E", "ECG"], p_signal=values, fmt=["16"] * 2, write_dir=str(tmp_path))
    (tmp_path / "m.hea").write_text(f"m/2 2 {RATE} {2 * N}\na {N}\nb {N}\n")
    signal = channel(tmp_path / "m.hea", "ECG", "mV")
    np.testing.assert_allclose(signal.samples, np.concatenate([WAVE, 2 * WAVE]), atol=0.001)
    (tmp_path / "m.hea").write_text(f"m/3 2 {RATE} {2 * N + 500}\na {N}\n~ 500\nb {N}\n")
    with pytest.raises(UserError, match=r"m\.hea: was interrupted \(a segment ~\), which is not read"):
        WfdbRecord(tmp_path / "m.hea")


def test_damaged_records_are_rejected(tmp_path):
    path = record(tmp_path, "r.dat 16 1/uV 16 0 0 0 0 A", "r.dat 16 1/uV 16 0 0 0 0 B")
    (tmp_path / "r.dat").write_bytes((tmp_path / "r.dat").read_bytes()[:1000])
    with pytest.raises(UserError, match=r"r\.hea: cannot be read as a WFDB record, or its signal file is cut off"):
        channel(path, "A")
    (tmp_path / "r.dat").unlink()
    with pytest.raises(UserError, match=r"r\.hea: cannot be read: No such file or directory: .*r\.dat"):
        channel(path, "A")
    path.write_text("r 0 100\n")
    with pytest.raises(UserError, match=r"r\.hea: describes no signals"):
        WfdbRecord(path)
