"""The checksum of a recording covers every file that it is made of."""

import hashlib
import subprocess
from pathlib import Path

import numpy as np
import wfdb

from sleepkd.prediction.many.file_state import checksum_of, file_state, recording_files


def test_of_one_file_it_is_that_of_sha256sum(tmp_path: Path) -> None:
    path = tmp_path / "night.csv"
    path.write_bytes(b"rr\n" + b"0.8\n" * 500_000)
    printed = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    assert checksum_of(path) == printed.split()[0] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert checksum_of(tmp_path / "gone.csv") == "" and file_state(tmp_path / "gone.csv").size == 0


def test_of_a_wfdb_record_it_covers_the_samples_of_every_segment(tmp_path: Path) -> None:
    for name in ("one", "two"):
        samples = np.arange(500.0)[:, None] / 500
        wfdb.wrsamp(name, 100, ["mV"], ["ECG"], samples, fmt=["16"], write_dir=str(tmp_path))
    header = tmp_path / "night.hea"
    header.write_text("night/2 1 100 1000\none 500\ntwo 500\n")
    names = [path.name for path in recording_files(header)]
    assert names == ["night.hea", "one.hea", "one.dat", "two.hea", "two.dat"]
    before, state = checksum_of(header), file_state(header)
    samples = (tmp_path / "two.dat").read_bytes()
    (tmp_path / "two.dat").write_bytes(samples[:-2] + b"\x07\x00")
    assert checksum_of(header) != before and file_state(header).changed_ns > state.changed_ns
