"""Draw the pictures of docs/gallery.md that `evaluate.py` makes, of the networks of notebooks/teach_student.ipynb.

python -m website.notebooks teach_student
python -m website.gallery
"""

import shutil
import subprocess
import sys
from pathlib import Path

from sleepkd.errors import UserError, run_command

REPOSITORY = Path(__file__).resolve().parent.parent
RUNS = REPOSITORY / "runs" / "notebook" / "runs" / "4class"
RESULTS = REPOSITORY / "runs" / "notebook" / "gallery"
PICTURES = (
    "night_kd/hypnogram_middle.png",
    "night_kd/confusion.png",
    "night_kd/transitions.png",
    "night_kd/bland_altman.png",
    "night_kd/distillation/confidence.png",
    "figures/reliability.png",
    "figures/risk_coverage.png",
)
"""Below the results; docs/figures/gallery keeps their last names."""


def main() -> None:
    """Evaluate, and copy the pictures. Raises UserError without the networks of the notebook."""
    checkpoints = [RUNS / stage / "best.pt" for stage in ("night_eeg", "night_ecg", "night_kd")]
    for path in checkpoints:
        if not path.is_file():
            raise UserError(f"{path}: no such file; run python -m website.notebooks teach_student first")
    evaluation = ["evaluate.py", "--checkpoint", *map(str, checkpoints), "--baseline", str(checkpoints[1])]
    subprocess.run([sys.executable, *evaluation, "--out", str(RESULTS)], cwd=REPOSITORY, check=True)
    gallery = REPOSITORY / "docs" / "figures" / "gallery"
    gallery.mkdir(exist_ok=True)
    for picture in PICTURES:
        shutil.copy(RESULTS / picture, gallery / Path(picture).name)


if __name__ == "__main__":
    run_command(main)
