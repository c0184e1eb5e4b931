"""Find a checkpoint by what a user calls it: a path, a folder, a network that ships, or hf://owner/name."""

import re
from pathlib import Path

from sleepkd.checkpoints.checkpoint import SAFETENSORS
from sleepkd.checkpoints.shipped import find_shipped, shipped_networks
from sleepkd.errors import UserError
from sleepkd.extras import require_extra

HUB = re.compile(r"hf:/{1,2}(?P<repository>[^/@]+/[^/@]+)(@(?P<revision>[^@]+))?")
"""A model on the Hugging Face Hub. A `Path` of hf://owner/name has a single slash."""
DOWNLOADED = ("*.safetensors", "*.pt", "*.json")


def find_checkpoint(name: str | Path) -> Path:
    """The path of a checkpoint.

    name: a path; the name of a network that ships ("night", or "shipped"); a folder with one checkpoint, as
    `sleepkd export --format hub` writes it; or hf://owner/name, hf://owner/name@revision, which downloads such a folder
    of the Hugging Face Hub once.
    Raises UserError: no such checkpoint, several in a folder, huggingface_hub not installed, no such model there.
    """
    path = Path(name)
    if path.is_file():
        return path
    if shipped := find_shipped(str(name)):
        return shipped
    if on_hub := HUB.fullmatch(str(name)):
        return checkpoint_in(_downloaded(on_hub["repository"], on_hub["revision"]), str(name))
    if path.is_dir():
        return checkpoint_in(path, str(path))
    raise UserError(f"{name}: no such checkpoint; give a path, hf://owner/name, or {', '.join(shipped_networks())}")


def checkpoint_in(folder: Path, name: str) -> Path:
    """The checkpoint in a folder, safetensors before .pt. name: of the folder in messages.

    Raises UserError for none or several.
    """
    for ending in (SAFETENSORS, ".pt"):
        found = sorted(folder.glob(f"*{ending}"))
        if len(found) > 1:
            raise UserError(
                f"{name}: holds several checkpoints ({', '.join(x.name for x in found)}); name one by its path"
            )
        if found:
            return found[0]
    raise UserError(f"{name}: holds no checkpoint (*{SAFETENSORS}, *.pt)")


def _downloaded(repository: str, revision: str | None) -> Path:
    """The folder of a model of the Hugging Face Hub in the local cache."""
    name = f"hf://{repository}" + (f"@{revision}" if revision else "")
    require_extra("huggingface_hub", "hub", name)
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(DOWNLOADED)))
    except Exception as error:  # of HTTP, of the file system, or its own, by version
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{name}: cannot be read from the Hugging Face Hub: {reason[:200]}") from None
