"""Annotation files of PhysioNet (WFDB), for labels/wfdb_stages.py and beats/wfdb_beats.py."""

from pathlib import Path

import numpy as np

from sleepkd.errors import UserError
from sleepkd.extras import require_extra


def read_annotations(path: Path) -> tuple[np.ndarray, list[str], list[str]]:
    """The times of annotations, s from the first sample of the recording, their symbols and their texts.

    The rate is that of the annotation file or of the header (.hea) beside it.
    Raises UserError for a file that is damaged, cut off, or has no rate.
    """
    require_extra("wfdb", "prepare", f"{path}: WFDB annotations")
    import wfdb  # here: it imports pandas, which no other format needs

    try:
        content = path.read_bytes()
        if len(content) % 2 or content[-2:] != b"\0\0":
            raise UserError(f"{path}: is cut off or no WFDB annotation file: it has no end mark")
        found = wfdb.rdann(str(path.with_suffix("")), path.suffix.removeprefix("."))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:  # wfdb defines no exception
        raise UserError(f"{path}: cannot be read as WFDB annotations: {error}") from None
    if not found.fs:
        raise UserError(
            f"{path}: states no sampling frequency, and no header {path.with_suffix('.hea').name} is beside it"
        )
    return found.sample / float(found.fs), list(found.symbol), [note.strip("\0 ") for note in found.aux_note]
