"""EDF, EDF+ and BDF: good files against two libraries, and files with faults."""

from datetime import timedelta
from pathlib import Path

import edfio
import mne
import numpy as np
import pytest

from sleepkd.cohorts.edf.records import Annotation, EdfRecords, Gap
from sleepkd.errors import UserError
from tests.cohorts.raw import START, channel, write_psg

pytestmark = pytest.mark.filterwarnings("ignore:Creating EDF")
RATE, SECONDS = 16, 20
RNG = np.random.default_rng(0)
TEXTS = [(0.5, 30.0, "Sleep stage W"), (4.25, None, "Éveil"), (19.0, 0.0, "x")]


def write(path: Path, start=START, **more) -> Path:
    """Two channels at two rates, and annotations."""
    channels = [channel("C3", RNG.normal(size=SECONDS * RATE), RATE), channel("Flow", RNG.normal(size=SECONDS), 1)]
    texts = [edfio.EdfAnnotation(*text) for text in TEXTS]
    edfio.Edf(channels, annotations=texts, starttime=start.time(), data_record_duration=1, **more).write(path)
    return path


def test_samples_and_annotations_equal_those_of_edfio_and_mne(tmp_path):
    path = write(tmp_path / "a.edf")
    records, other = EdfRecords(path), edfio.read_edf(path)
    for i in range(2):
        np.testing.assert_array_equal(records.samples(i), other.signals[i].digital)
    assert records.annotations == [Annotation(o, d or 0.0, t) for o, d, t in TEXTS]
    read = mne.read_annotations(path)
    assert [a.text for a in records.annotations] == list(read.description)
    np.testing.assert_array_equal([a.onset_s for a in records.annotations], read.onset)
    assert records.remarks == [] and records.gaps() == []


def test_24_bit_samples_equal_those_of_edfio_and_mne(tmp_path):
    x = np.rint(RNG.normal(scale=2e6, size=SECONDS * RATE)).clip(-(2**23), 2**23 - 1)
    edfio.Bdf([edfio.BdfSignal(x, RATE, label="C3", physical_range=(-(2**23), 2**23 - 1))]).write(tmp_path / "a.bdf")
    found = EdfRecords(tmp_path / "a.bdf").samples(0)
    np.testing.assert_array_equal(found, x)
    (tmp_path / "b.edf").write_bytes((tmp_path / "a.bdf").read_bytes())  # whatever its name ends in
    np.testing.assert_array_equal(EdfRecords(tmp_path / "b.edf").samples(0), found)
    np.testing.assert_allclose(mne.io.read_raw_bdf(tmp_path / "a.bdf", verbose="error").get_data()[0], x)


def test_a_start_within_a_second(tmp_path):
    start = EdfRecords(write(tmp_path / "a.edf", START + timedelta(seconds=0.5))).start
    assert (start.time, start.offset_s) == (START.time(), 0.5)


def with_onsets(tmp_path, onsets: list[str], seconds: str = "1") -> EdfRecords:
    """A file with these record onsets."""
    path = tmp_path / "a.edf"
    room = [edfio.EdfAnnotation(0, None, "x" * 40)]
    signal = channel("C3", np.arange(len(onsets) * RATE), RATE)
    edfio.Edf([signal], annotations=room, data_record_duration=1, starttime=START.time()).write(path)
    raw = bytearray(path.read_bytes())
    raw[244:252] = seconds.encode().ljust(8)
    header, each = 256 * 3, (len(raw) - 256 * 3) // len(onsets)
    for i, onset in enumerate(onsets):
        begin, end = header + i * each + 2 * RATE, header + (i + 1) * each
        raw[begin:end] = f"+{onset}\x14\x14".encode().ljust(end - begin, b"\0")[: end - begin]
    path.write_bytes(raw)
    return EdfRecords(path)


def test_gaps_are_found_by_record_times_whatever_the_header_says(tmp_path):
    onsets = [str(i + 3 * (i >= 5) + 60 * (i >= 9)) for i in range(12)]
    assert with_onsets(tmp_path, onsets).gaps() == [Gap(5, 5.0, 8.0), Gap(9, 12.0, 72.0)]


def test_a_file_may_begin_long_after_its_headers_time(tmp_path):
    records = with_onsets(tmp_path, [str(3600 + i) for i in range(5)])
    assert (records.start.offset_s, records.gaps()) == (3600.0, [])


@pytest.mark.parametrize(
    ("step", "digits"), [("0.999412", 3), ("0.999412", 0), ("1", 0), ("1", 6), ("0.3333", 1)], ids=str
)
def test_rounded_record_times_are_no_gaps(tmp_path, step, digits):
    onsets = [f"{round(i * float(step), digits):.{digits}f}" for i in range(40)]
    assert with_onsets(tmp_path, onsets, step).gaps() == []


def test_record_times_that_drift_are_gaps(tmp_path):
    """Records of 1 s that begin 20 ms later each: after three of them, more than any rounding."""
    gaps = with_onsets(tmp_path, [f"{1.02 * i:.2f}" for i in range(10)]).gaps()
    assert [gap.record for gap in gaps] == [3, 6, 9]


def test_records_without_a_time_follow_the_others(tmp_path):
    records = with_onsets(tmp_path, ["60", "61", "62", "66", "67"])
    raw = bytearray(records.path.read_bytes())
    each = (len(raw) - 768) // 5
    for i in (0, 4):
        begin, end = 768 + i * each + 2 * RATE, 768 + (i + 1) * each
        raw[begin:end] = (b"+90\x14a text\x14" if i else b"").ljust(end - begin, b"\0")  # no time of its own
    records.path.write_bytes(raw)
    records = EdfRecords(records.path)
    assert (records.start.offset_s, records.gaps()) == (60.0, [Gap(3, 3.0, 6.0)])


def test_records_that_overlap_are_refused(tmp_path):
    with pytest.raises(
        UserError, match=r"a\.edf: its records overlap: number 4 begins 2 s before the one before it ends"
    ):
        with_onsets(tmp_path, ["0", "1", "2", "1", "2"]).gaps()


@pytest.mark.parametrize(
    ("stated", "tail", "remark"),
    [
        (b"-1", b"", "the header says -1 data records, the file holds 20: used"),
        (b"-1", b"\x01" * 7, "the header says -1 data records, the file holds 20: used"),
        (b"", b"", "the header says -1 data records, the file holds 20: used"),
        (b"20", b"\n", None),
        (b"20", b"\0" * 30, None),
        (b"12", b"", "WARNING: the header says 12 data records, the file holds 20: all are used"),
    ],
)
def test_a_wrong_number_of_records_in_the_header(tmp_path, stated, tail, remark):
    path = write_psg(tmp_path / "a.edf", [channel("C3", RNG.normal(size=SECONDS * RATE), RATE)])
    whole = path.read_bytes()
    path.write_bytes(whole[:236] + stated.ljust(8) + whole[244:] + tail)
    records = EdfRecords(path)
    assert records.count == 20
    assert records.remarks == ([remark] if remark else [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an EDF: it is empty, 0 bytes"),
        (b"<!DOCTYPE html><html>", "is not an EDF: a web page"),
        (b"  <?xml version='1.0'?>", "is not an EDF: XML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is not an EDF: a git-lfs pointer; fetch the file that it"),
        (b"PK\x03\x04" * 100, "is not an EDF: it begins with 'PK"),
        (b"0".ljust(8) + b" " * 100, "is cut off within its header"),
    ],
)
def test_a_file_that_is_no_edf_is_rejected_with_what_it_is(tmp_path, content, message):
    (tmp_path / "a.edf").write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.edf: {message}"):
        EdfRecords(tmp_path / "a.edf")


def test_labels_end_at_a_nul_and_any_byte_is_read(tmp_path):
    path = write_psg(tmp_path / "a.edf", [channel("C3", RNG.normal(size=SECONDS * RATE), RATE)])
    raw = bytearray(path.read_bytes())
    raw[256:272] = b" C3\0\0ab".ljust(16)
    raw[8:88] = b"X F 02-MAY-1951 note=a=b \xc9t\xe9".ljust(80)
    raw[256 + 16 : 256 + 96] = b"Ag\xb7AgCl".ljust(80)
    path.write_bytes(raw)
    assert EdfRecords(path).header.channels[0].label == "C3"
