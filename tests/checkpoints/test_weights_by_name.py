"""sleepkd.load by name: a path, a folder, a network that ships, and a fake of the Hugging Face Hub's cache."""

import sys
from pathlib import Path

import pytest

import sleepkd
from sleepkd.checkpoints.shipped import shipped_checkpoint
from sleepkd.checkpoints.weights_by_name import find_checkpoint
from sleepkd.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FAKE_HUB = """
from pathlib import Path

class RepositoryNotFoundError(Exception):
    pass

def snapshot_download(repo_id, *, revision=None, allow_patterns=None):
    folder = Path(__file__).parent / f"models--{repo_id.replace('/', '--')}"
    if not folder.is_dir():
        raise RepositoryNotFoundError(f"404 Client Error.\\n\\nRepository Not Found for url: {repo_id}")
    assert "*.json" in allow_patterns
    return str(folder / "snapshots" / (folder / "refs" / (revision or "main")).read_text())
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a fake huggingface_hub with the network that ships as owner/name: links to blobs, as there."""
    (tmp_path / "huggingface_hub.py").write_text(FAKE_HUB)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "huggingface_hub", raising=False)
    model = tmp_path / "models--owner--name"
    for folder in ("refs", "blobs", f"snapshots/{COMMIT}"):
        (model / folder).mkdir(parents=True)
    for branch in ("main", "v1"):
        (model / "refs" / branch).write_text(COMMIT)
    for k, name in enumerate(("night.pt", "card.json")):
        blob = model / "blobs" / str(k)
        blob.write_bytes(shipped_checkpoint().with_name(name).read_bytes())
        (model / "snapshots" / COMMIT / name).symlink_to(blob)
    return model


@pytest.mark.parametrize("name", ["hf://owner/name", "hf://owner/name@v1", Path("hf://owner/name")])
def test_a_model_of_the_hub_is_loaded_with_its_card(hub: Path, name: str | Path) -> None:
    model = sleepkd.load(name)
    assert model.trained.path == hub / "snapshots" / COMMIT / "night.pt"
    assert model.card == sleepkd.load("night").card and model.card.scores


def test_a_model_that_the_hub_does_not_have_is_one_line(hub: Path) -> None:
    with pytest.raises(UserError, match=r"^hf://a/b: cannot be read from the Hugging Face Hub: 404 .* for url: a/b$"):
        find_checkpoint("hf://a/b")


def test_without_huggingface_hub_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"hf://a/b: the package huggingface_hub is not .* 'sleepkd\[hub\]'"):
        find_checkpoint("hf://a/b")


def test_a_folder_with_one_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no checkpoint \(\*\.safetensors, \*\.pt\)"):
        find_checkpoint(tmp_path)
    (tmp_path / "best.pt").touch()
    assert find_checkpoint(tmp_path) == tmp_path / "best.pt"
    (tmp_path / "last.pt").touch()
    with pytest.raises(UserError, match=r"several checkpoints \(best\.pt, last\.pt\)"):
        find_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").touch()
    assert find_checkpoint(tmp_path).name == "model.safetensors"


def test_a_name_beats_a_folder_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "night").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint("night") == shipped_checkpoint()
    with pytest.raises(UserError, match=r"^nigth: no such checkpoint; give a path, hf://owner/name, or night$"):
        find_checkpoint("nigth")
