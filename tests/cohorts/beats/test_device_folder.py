"""Folders of devices: one file of them is the recording."""

from pathlib import Path

import numpy as np

from sleepkd import predict
from sleepkd.cohorts.beats.device_folder import device_recording

RR = np.round(np.random.default_rng(0).normal(0.9, 0.03, 900), 6)
ENDS = np.cumsum(RR)
IBI = "1706744400.000000, IBI\n" + "".join(f"{end:.6f},{rr:.6f}\n" for end, rr in zip(ENDS, RR, strict=True))
HR = "1706744410.000000\n1.000000\n" + "".join(f"{60 + k % 3:.2f}\n" for k in range(800))


def files(folder: Path, **contents: str) -> Path:
    folder.mkdir(parents=True)
    for stem, content in contents.items():
        (folder / f"{stem}.csv").write_text(content)
    return folder


def test_of_an_e4_session_the_intervals_are_read(tmp_path: Path) -> None:
    session = files(tmp_path / "e4", IBI=IBI, HR=HR, ACC="1\n32\n", BVP="1\n64\n", tags="")
    assert device_recording(session) == session / "IBI.csv"
    (session / "IBI.csv").write_text("1706744400.000000, IBI\n")
    assert device_recording(session) == session / "HR.csv"
    assert device_recording(files(tmp_path / "other", IBI=IBI)) is None


def test_of_movesense_the_intervals_are_read_or_else_the_ecg(tmp_path: Path) -> None:
    folder = files(tmp_path / "m", **{"MovesenseECG-1": "a", "MovesenseHR-1": "b", "MovesenseIMU9-1": "c"})
    assert device_recording(folder) == folder / "MovesenseHR-1.csv"
    (folder / "MovesenseHR-1.csv").unlink()
    assert device_recording(folder) == folder / "MovesenseECG-1.csv"
    (folder / "MovesenseIMU9-1.csv").unlink()
    assert device_recording(folder) is None  # a file as any other


def test_predict_stages_one_file_of_each_session_below_a_folder(tmp_path: Path) -> None:
    for name in ("monday", "tuesday"):
        files(tmp_path / "study" / name, IBI=IBI, HR=HR, ACC="1\n32\n", BVP="1\n64\n")
    assert predict.main([str(tmp_path / "study"), "--out", str(tmp_path / "out")]) == 0
    staged = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert staged == ["index.html", "monday-IBI.csv", "tuesday-IBI.csv"]
