import os
from pathlib import Path

import pytest

from sleepkd.errors import UserError
from sleepkd.files import lock_folder, write_bytes_atomically, write_text_atomically


def test_writes_bytes_and_makes_the_folder(tmp_path):
    path = tmp_path / "a" / "b" / "notes.txt"
    write_text_atomically(path, "größer: 3 µV\n")
    assert path.read_bytes() == "größer: 3 µV\n".encode()
    write_bytes_atomically(str(path), b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [p.name for p in path.parent.iterdir()] == ["notes.txt"]


def test_a_failed_write_keeps_the_old_file_and_leaves_no_temporary_file(tmp_path, monkeypatch):
    path = tmp_path / "table.json"
    path.write_text("old")

    def fails(source, target):
        assert path.read_text() == "old"  # until the very last step
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="no space left"):
        write_text_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_locked_until_the_file_is_closed(tmp_path: Path) -> None:
    lock = lock_folder(tmp_path, "choose another")
    with pytest.raises(UserError, match="another run is writing here; wait for it, or choose another"):
        lock_folder(tmp_path, "choose another")
    lock.close()
    lock_folder(tmp_path, "choose another").close()
