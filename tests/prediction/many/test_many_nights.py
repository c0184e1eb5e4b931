"""sleepkd predict with tables: every night once, whatever crashes, changes or is interrupted; shards and merge."""

import csv
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from sleepkd import merge, predict
from sleepkd.checkpoints.shipped import shipped_checkpoint
from sleepkd.checkpoints.temperature import write_temperature
from sleepkd.errors import UserError
from sleepkd.prediction.many.stage_file import StagedRecording, StagingSettings, stage_recording
from sleepkd.prediction.many.work_list import ListedRecording
from sleepkd.prediction.recorded import ReadingOptions

VARYING = ("seconds", "path", "changed_ns")


@pytest.fixture(scope="module")
def nights(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three nights of RR intervals and a file that holds none."""
    folder = tmp_path_factory.mktemp("nights")
    for k, path in enumerate(sorted((cohort / "truth").glob("*.npz"))[:3]):
        np.savetxt(folder / f"{k}.csv", np.diff(np.load(path)["beats"]), fmt="%.4f", header="rr", comments="")
    (folder / "page.csv").write_text("<html></html>\n")
    return folder


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the recordings that were staged, in this process."""
    names = []

    def run(
        work: Callable[[ListedRecording], StagedRecording],
        items: Iterable[ListedRecording],
        processes: int,
        limit_s: float,
        preload: Sequence[str],
    ) -> Iterator[tuple[ListedRecording, StagedRecording]]:
        for item in items:
            names.append(item.name)
            yield item, work(item)

    monkeypatch.setattr(predict, "run_on_processes", run)
    return names


def crashing(settings: StagingSettings, listed: ListedRecording) -> StagedRecording:
    """Staging with a reader that crashes on one file."""
    if listed.name == "1":
        os.kill(os.getpid(), signal.SIGSEGV)
    return stage_recording(settings, listed)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return sorted(csv.DictReader(file), key=lambda row: (row["recording"], float(row.get("onset", 0))))


def same(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if name not in VARYING} for row in rows]


def run(out: Path, *arguments: object) -> int:
    return predict.main([*map(str, arguments), "--format", "csv", "--out", str(out)])


def test_a_file_that_crashes_its_process_is_a_row_and_is_staged_on_retry(
    nights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as context:
        context.setattr(predict, "stage_recording", crashing)
        assert run(out, nights, "--jobs", 2) == 1
    assert "1.csv: ended its process: a library crashed on it" in capsys.readouterr().err
    rows = table(out / "nights.csv")
    assert [(row["recording"], row["status"]) for row in rows] == [
        ("0", "staged"), ("1", "failed"), ("2", "staged"), ("page", "failed"),
    ]  # fmt: skip
    assert len({row["checksum"] for row in rows}) == 4
    assert run(out, nights, "--retry", "failed") == 1
    assert [row["status"] for row in table(out / "nights.csv")] == ["staged", "staged", "staged", "failed"]
    assert predict.main([str(nights / "1.csv"), "--out", str(tmp_path / "folders")]) == 0
    with (tmp_path / "folders" / "1" / "hypnogram.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    found = [row for row in table(out / "epochs.csv") if row["recording"] == "1"]
    assert len(found) == len(expected) > 50
    for name in expected[0]:
        if name == "stage":
            assert [row[name] for row in found] == [row[name] for row in expected]
        else:
            numbers = [[float(row[name] or "nan") for row in rows] for rows in (found, expected)]
            np.testing.assert_allclose(*numbers, atol=1.01e-4, err_msg=name)  # torch uses one thread there


def test_what_is_done_is_kept_and_what_has_changed_is_staged_again(
    nights: Path, tmp_path: Path, staged: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    copies, out = tmp_path / "copies", tmp_path / "out"
    copies.mkdir()
    for path in nights.iterdir():
        (copies / path.name).write_bytes(path.read_bytes())
    assert run(out, copies) == 1 and staged == ["0", "1", "2", "page"]
    first, page = table(out / "nights.csv"), (out / "index.html").read_text()
    assert '"recording":"recording"' in page and "W " in first[0]["hypnogram"]
    staged.clear()
    capsys.readouterr()
    os.utime(copies / "0.csv")  # copied, and not changed
    assert run(out, copies) == 1 and staged == []
    assert "3 nights staged, 3 of them before; recordings failed: 1" in capsys.readouterr().out
    assert table(out / "nights.csv") == first
    text = (copies / "2.csv").read_text().splitlines()
    (copies / "2.csv").write_text("\n".join(text[:-100]) + "\n")
    assert run(out, copies) == 1 and staged == ["2"]
    assert len(table(out / "nights.csv")) == 4
    assert len([row for row in table(out / "epochs.csv") if row["recording"] == "2"]) < int(first[2]["sleep_epochs"])
    staged.clear()
    assert run(out, copies, "--abstain-below", 0.5) == 1 and staged == ["0", "1", "2", "page"]
    with pytest.raises(UserError, match="the tables hold another file of the name 2"):
        run(out, nights)


def test_other_weights_stage_again_and_a_process_that_finds_others_refuses(
    nights: Path, tmp_path: Path, staged: list[str]
) -> None:
    checkpoint, out, path = tmp_path / "best.pt", tmp_path / "out", nights / "0.csv"
    checkpoint.write_bytes(shipped_checkpoint().read_bytes())
    assert run(out, path, "--checkpoint", checkpoint) == 0
    (before,) = table(out / "nights.csv")
    write_temperature(checkpoint, {"temperature": 2.0})
    assert run(out, path, "--checkpoint", checkpoint) == 0 and staged == ["0", "0"]
    (after,) = table(out / "nights.csv")
    assert after["weights"] != before["weights"]
    assert float(after["mean_confidence"]) < float(before["mean_confidence"]) - 0.05
    settings = StagingSettings(checkpoint, before["weights"], tables=True)
    with pytest.raises(UserError, match="has other weights here than where the command was started"):
        stage_recording(settings, ListedRecording("0", path, ReadingOptions()))


def test_shards_and_merge_hold_what_one_run_holds(nights: Path, tmp_path: Path, staged: list[str]) -> None:
    assert run(tmp_path / "whole", nights) == 1
    shards = tmp_path / "shards"
    assert run(shards, nights, "--shard", "1/2", "--figures", "first", 1) == 0
    assert {path.name for path in (shards / "0").iterdir()} >= {"hypnogram.csv", "night.png"}
    assert merge.main([str(shards)]) == 1  # the second shard is missing
    assert run(shards, nights, "--shard", "2/2") == 1
    assert merge.main([str(shards), "--out", str(tmp_path / "merged")]) == 1
    for name in ("nights.csv", "epochs.csv"):
        assert same(table(tmp_path / "merged" / name)) == same(table(tmp_path / "whole" / name))
    with pytest.raises(UserError, match=r"holds \w+, as .* does; give each recording an id"):
        merge.main([str(shards), str(tmp_path / "whole"), "--out", str(tmp_path / "twice")])


def test_a_manifest_names_recordings_and_an_interrupted_run_resumes(
    nights: Path, tmp_path: Path, staged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = tmp_path / "nights.csv"
    manifest.write_text(f"id,path\ns1,{nights}/0.csv\ns2,{nights}/gone.csv\ns3,{nights}/1.csv\n")
    out = tmp_path / "out"

    def interrupted(settings: StagingSettings, listed: ListedRecording) -> StagedRecording:
        if listed.name == "s3":
            os.kill(os.getpid(), signal.SIGTERM)
        return stage_recording(settings, listed)

    with monkeypatch.context() as context:
        context.setattr(predict, "stage_recording", interrupted)
        with pytest.raises(SystemExit, match="143"):
            run(out, "--manifest", manifest)
    assert not (out / "nights.csv").exists()
    staged.clear()
    assert run(out, "--manifest", manifest) == 1 and staged == ["s3"]
    rows = table(out / "nights.csv")
    assert [(row["recording"], row["status"]) for row in rows] == [("s1", "staged"), ("s2", "failed"), ("s3", "staged")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "folders", "--shard", "1/2"], "--format folders: goes without --shard, which need tables"),
        (["--format", "csv", "--figures", "some"], "--figures: must be all, or first N"),
        (["--jobs", "0"], "--jobs and --timeout: must be positive"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: list[str], message: str, nights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        predict.main([str(nights), *arguments, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
