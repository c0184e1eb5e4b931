"""Tables of samples: times in any spelling, decimal commas, OpenSignals, and gaps that the times state."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from sleepkd.cohorts.signals import signal_table
from sleepkd.cohorts.signals.signal_table import SignalTable
from sleepkd.errors import UserError

RATE, N = 100, 3000
X = np.round(np.random.default_rng(0).standard_normal(N), 3)
AT = np.arange(N) / RATE
EVENING = dt.datetime(2024, 1, 31, 23, 59, 50)


def write(path: Path, header: str, *columns: object, sep: str = ",") -> Path:
    rows = [sep.join(map(str, row)) for row in zip(*columns, strict=True)]  # type: ignore[call-overload]
    path.write_text("\n".join([*([header] if header else []), *rows]) + "\n")
    return path


def iso(seconds: np.ndarray) -> list[str]:
    return [(EVENING + dt.timedelta(seconds=float(s))).isoformat(timespec="milliseconds") for s in seconds]


TIMES = {
    "s": AT,
    "ms": [f"{1000 * t:.0f}" for t in AT],
    "unix s": [f"{1.7e9 + t:.3f}" for t in AT],
    "unix ms": [f"{1.7e12 + 1000 * t:.0f}" for t in AT],
    "µs": [f"{1e6 * t:.0f}" for t in AT],
    "ns": [f"{5e17 + 1e9 * t:.0f}" for t in AT],
    "dates": iso(AT),
    "time of day": [text[11:] for text in iso(AT)],
}


@pytest.mark.parametrize("unit", TIMES)
def test_times_in_any_unit(tmp_path: Path, unit: str) -> None:
    table = SignalTable(write(tmp_path / "a.csv", "timestamp,ecg", TIMES[unit], X))
    assert table.labels == ["ecg"] and table.rates == [pytest.approx(RATE, rel=1e-6)]
    assert table.seconds == pytest.approx(30) and not table.gaps
    np.testing.assert_array_equal(table.channel(0).samples, X)


def test_dates_give_the_start(tmp_path: Path) -> None:
    start = SignalTable(write(tmp_path / "a.csv", "timestamp,ecg", iso(AT), X)).start()
    assert start is not None and (start.date, start.time) == (EVENING.date(), EVENING.time())


@pytest.mark.parametrize("fs", [None, RATE])
@pytest.mark.parametrize("unit", ["s", "ms", "dates"])
def test_missing_samples_are_a_gap_where_the_times_say_so(tmp_path: Path, unit: str, fs: float | None) -> None:
    kept = (AT < 10) | (AT >= 17)
    path = write(tmp_path / "a.csv", "time,ecg", np.array(TIMES[unit])[kept], X[kept])
    table = SignalTable(path, fs)
    assert table.gaps == [pytest.approx((10, 17))] and table.seconds == pytest.approx(30)
    samples = table.channel(0).samples
    np.testing.assert_array_equal(samples[kept], X[kept])
    np.testing.assert_allclose(np.diff(samples[999:1701], 2), 0, atol=1e-9)


def test_single_missing_samples_move_nothing_after_them(tmp_path: Path) -> None:
    kept = np.random.default_rng(1).random(N) > 0.03
    kept[[0, -1]] = True
    table = SignalTable(write(tmp_path / "a.csv", "time,ecg", AT[kept], X[kept]))
    assert table.seconds == pytest.approx(30) and not table.gaps
    np.testing.assert_array_equal(table.channel(0).samples[kept], X[kept])


def test_a_rate_whose_step_is_no_whole_millisecond(tmp_path: Path) -> None:
    at = np.arange(N) / 130
    table = SignalTable(write(tmp_path / "a.csv", "time,ecg", [f"{1000 * t:.0f}" for t in at], X))
    assert table.rates[0] == pytest.approx(130, rel=1e-3) and len(table.channel(0).samples) == N


def test_decimal_commas(tmp_path: Path) -> None:
    german = [f"{x:.3f}".replace(".", ",") for x in X]
    times = [f"{t:.2f}".replace(".", ",") for t in AT]
    table = SignalTable(write(tmp_path / "a.csv", "time;ecg", times, german, sep=";"))
    np.testing.assert_array_equal(table.channel(0).samples, X)


def test_opensignals_with_and_without_names_in_its_header(tmp_path: Path) -> None:
    for stated, label in (('"sampling rate": 100, "column": ["nSeq", "A1"]', "A1"), ('"sampling rate": 100', "2")):
        head = '# OpenSignals Text File Format\n# {"00:07": {' + stated + "}}\n# EndOfHeader"
        table = SignalTable(write(tmp_path / "a.txt", head, np.arange(N) % 16, X, [""] * N, sep="\t"))
        assert table.labels[1] == label and table.numbers == [1, 2] and table.rates == [100, 100]
        np.testing.assert_array_equal(table.channel(1).samples, X)


@pytest.mark.parametrize(
    ("times", "fs", "message"),
    [
        (AT, 250, "--fs 250: its times"),
        (AT[::-1], None, "do not rise"),
        (np.arange(N), None, "rise by 1: are they sample numbers"),
        (np.where(AT > 15, AT + 1e9, AT), None, "span 11574 days"),
        (["noon"] * N, None, "'noon' is not a time"),
    ],
)
def test_times_that_are_refused(tmp_path: Path, times: object, fs: float | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        SignalTable(write(tmp_path / "a.csv", "time,ecg", times, X), fs)


def test_arrays_that_state_absurd_sizes_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "a.npy", X)
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"(3000,), }", b"(9**9,),  }").replace(b"9**9,), ", b"9999999,)"))
    with pytest.raises(UserError, match="cannot be read as a NumPy file"):
        SignalTable(tmp_path / "a.npy", RATE)
    monkeypatch.setattr(signal_table, "LARGEST_ARRAYS", 10_000)
    np.savez_compressed(tmp_path / "b.npz", ecg=np.zeros(2000))
    with pytest.raises(UserError, match="unpacked, more than any recording"):
        SignalTable(tmp_path / "b.npz", RATE)
