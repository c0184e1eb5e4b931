"""Execute notebooks and keep their outputs, which the documentation site shows.

    python -m website.notebooks                # all of notebooks/
    python -m website.notebooks real_night     # one

real_night downloads its recording from PhysioNet, unless SLEEP_ACCEL names the folder of the data set.
"""

import hashlib
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from sleepkd.checkpoints.shipped import shipped_checkpoint
from sleepkd.errors import run_command
from sleepkd.files import write_text_atomically

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
SLEEP_ACCEL = NOTEBOOKS.parent.parent / "shared" / "data" / "sleep_accel"
"""Where the data set lies beside a checkout, if it does."""
CELL_SECONDS = 3600
TQDM_WARNING = "IProgress not found"
"""What tqdm prints in a notebook without ipywidgets, with a path of this machine."""
LOADS = "sleepkd.load("
"""What is in a notebook whose outputs depend on the weights that ship."""


def main() -> None:
    """Execute the named notebooks, or all, and write them with their outputs."""
    names = sys.argv[1:] or sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    for name in names:
        path = NOTEBOOKS / f"{name}.ipynb"
        notebook = executed(path)
        text = path.read_text(encoding="utf-8")
        notebook.metadata.pop("weights", None)
        if LOADS in text:
            notebook.metadata["weights"] = weights_digest()
        write_text_atomically(path, nbformat.writes(notebook) + "\n")
        print(path.name)


def executed(path: Path) -> nbformat.NotebookNode:
    """A notebook with the outputs of all of its cells. Raises nbclient's CellExecutionError where one fails."""
    notebook = nbformat.read(path, as_version=4)
    programs = Path(sys.executable).parent  # for `!sleepkd`
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    if SLEEP_ACCEL.is_dir():
        os.environ.setdefault("SLEEP_ACCEL", str(SLEEP_ACCEL))
    where = {"metadata": {"path": str(NOTEBOOKS)}}
    NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources=where, record_timing=False
    ).execute()
    notebook.metadata["language_info"] = {"name": "python"}  # not the version of this Python
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if TQDM_WARNING not in output.get("text", "")]
    return notebook


def weights_digest() -> str:
    """What identifies the weights that ship: the outputs of a notebook are theirs."""
    return hashlib.sha256(shipped_checkpoint().read_bytes()).hexdigest()[:16]


if __name__ == "__main__":
    run_command(main)
