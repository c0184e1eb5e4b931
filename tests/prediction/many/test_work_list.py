"""Which recordings a run stages: files, folders, globs and manifests, names of their own, shards."""

from pathlib import Path

import pytest

from sleepkd.errors import UserError
from sleepkd.prediction.many.work_list import listed_files, listed_in_manifest, share_of
from sleepkd.prediction.recorded import ReadingOptions

OPTIONS = ReadingOptions(channel="II", rate_hz=250.0)


def files(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def test_folders_and_globs_list_each_file_once_under_a_name_of_its_own(tmp_path: Path) -> None:
    files(tmp_path, "a/psg.edf", "b/psg.edf", "b/other.edf", "b/notes.md")
    found = listed_files([tmp_path / "*" / "psg.edf", tmp_path / "b"], OPTIONS)
    assert [(item.name, item.path.relative_to(tmp_path)) for item in found] == [
        ("a-psg.edf", Path("a/psg.edf")),
        ("b-psg.edf", Path("b/psg.edf")),
        ("other", Path("b/other.edf")),
    ]
    with pytest.raises(UserError, match=r"x\*: matches no file"):
        listed_files([tmp_path / "x*"], OPTIONS)


def test_a_manifest_states_options_for_each_recording(tmp_path: Path) -> None:
    files(tmp_path, "one.edf", "deep/two.csv")
    manifest = tmp_path / "nights.csv"
    manifest.write_text("path,id,channel,fs,beats,start,age\none.edf,s1,,,,,60\ndeep/two.csv,,rr,100,yes,30,61\n")
    first, second = listed_in_manifest(manifest, OPTIONS)
    assert (first.name, first.path, first.options) == ("s1", tmp_path / "one.edf", OPTIONS)
    assert second.name == "two" and second.options == ReadingOptions("rr", 100.0, True, 30.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\na.edf\n", "no column path; it has file"),
        ("path,fs\na.edf,fast\n", "line 2: fs: must be a number, not fast"),
        ("path,beats\na.edf,perhaps\n", "beats: must be true or false"),
        ("path,id\na.edf,x\nb.edf,x\n", "lists the id x twice"),
        ("path\na.edf\na.edf\n", "lists the path .*a.edf twice"),
        ("path,id\na.edf,b\nb.edf,\n", "an id is the name of another file"),
        ("path\n", "lists no recording"),
    ],
)
def test_a_mistake_in_a_manifest_is_named(text: str, message: str, tmp_path: Path) -> None:
    manifest = tmp_path / "nights.csv"
    manifest.write_text(text)
    with pytest.raises(UserError, match=message):
        listed_in_manifest(manifest, OPTIONS)


def test_shards_hold_every_recording_once(tmp_path: Path) -> None:
    listed = listed_files(files(tmp_path, *(f"{k}.edf" for k in range(7))), OPTIONS)
    shares = [share_of(listed, (k, 3)) for k in (1, 2, 3)]
    assert [len(share) for share in shares] == [3, 2, 2]
    assert {item for share in shares for item in share} == set(listed) and share_of(listed, None) == listed
