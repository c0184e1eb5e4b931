"""--download, from a local server in place of PhysioNet."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from wfdb.io import download as physionet

from sleepkd.cohorts.download import STAGING, download
from sleepkd.cohorts.find import files_below
from sleepkd.cohorts.layout import Cohort, Origin, load_cohort
from sleepkd.errors import UserError

FILES = {"a.hea": b"a header", "sub/b.dat": b"samples" * 1000, "motion/c.csv": b"large"}


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and records the requests."""

    asked: list[str] = []  # noqa: RUF012 - the fixture empties it

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """The folder of version 1.0.0, beside a newer version."""
    folder = tmp_path / "remote" / "nights" / "1.0.0"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    publish(folder)
    newer = folder.with_name("2.0.0")
    newer.mkdir()
    (newer / "a.hea").write_bytes(b"another")
    publish(newer)
    Quiet.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "remote")))
    threading.Thread(target=partial(server.serve_forever, 0.02), daemon=True).start()
    monkeypatch.setattr(physionet.config, "db_index_url", f"http://127.0.0.1:{server.server_port}/")
    yield folder
    server.shutdown()
    server.server_close()


def publish(folder: Path) -> None:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.relative_to(folder).as_posix()}" for path in files]
    (folder / "SHA256SUMS.txt").write_text("\n".join(sums) + "\n")


def cohort(files: str = "") -> Cohort:
    source = Origin(licence="ODC-By 1.0", physionet="nights/1.0.0", files=files)
    return Cohort(name="nights", files="(?P<recording>.*)", source=source)


def test_the_version_of_the_yaml_is_downloaded_once(tmp_path, remote):
    raw = tmp_path / "raw"
    assert download(cohort(), raw) == f"{raw}: 3 files downloaded, 0 present before (ODC-By 1.0)"
    assert {name: (raw / name).read_bytes() for name in FILES} == FILES
    Quiet.asked.clear()
    assert download(cohort(), raw) == f"{raw}: 0 files downloaded, 3 present before (ODC-By 1.0)"
    assert set(Quiet.asked) == {"/nights/1.0.0/SHA256SUMS.txt"}


def test_only_the_files_that_the_yaml_names_are_downloaded(tmp_path, remote):
    download(cohort(r"\.(hea|dat)$"), tmp_path / "raw")
    assert not (tmp_path / "raw" / "motion").exists()


def test_an_interrupted_download_is_resumed(tmp_path, remote):
    raw = tmp_path / "raw"
    (remote / "sub" / "b.dat").unlink()
    with pytest.raises(UserError, match=r"raw: sub/b\.dat cannot be downloaded from PhysioNet \(.*resumes here"):
        download(cohort(), raw)
    assert (raw / "a.hea").is_file()
    (remote / "sub" / "b.dat").write_bytes(FILES["sub/b.dat"])
    (raw / STAGING / "sub" / "b.dat").write_bytes(FILES["sub/b.dat"][:500])  # half a file of before
    assert [path.name for path in files_below(raw) if path.name == "b.dat"] == []
    Quiet.asked.clear()
    download(cohort(), raw)
    assert (raw / "sub" / "b.dat").read_bytes() == FILES["sub/b.dat"]
    assert "/nights/1.0.0/a.hea" not in Quiet.asked


def test_a_file_with_another_checksum_is_rejected(tmp_path, remote):
    raw = tmp_path / "raw"
    (remote / "sub" / "b.dat").write_bytes(b"half")
    with pytest.raises(UserError, match=r"raw/sub/b\.dat: its checksum is not the published one"):
        download(cohort(), raw)
    assert not (raw / "sub" / "b.dat").exists()
    (remote / "sub" / "b.dat").write_bytes(FILES["sub/b.dat"])
    download(cohort(), raw)
    assert (raw / "sub" / "b.dat").read_bytes() == FILES["sub/b.dat"]


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "sub/../../outside"])
def test_a_file_name_outside_the_folder_is_refused(tmp_path, remote, name):
    (remote / "SHA256SUMS.txt").write_text(f"{'0' * 64} {name}\n")
    with pytest.raises(UserError, match="which lies outside the cohort; nothing is downloaded"):
        download(cohort(), tmp_path / "raw")


def test_a_cohort_that_is_not_on_physionet_says_where_it_is_available(tmp_path):
    with pytest.raises(
        UserError, match=r"shhs is not on PhysioNet; it is available from https://sleepdata\.org/datasets"
    ):
        download(load_cohort("shhs"), tmp_path)
