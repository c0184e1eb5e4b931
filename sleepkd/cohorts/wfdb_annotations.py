"""Annotation files of PhysioNet (WFDB), as labels/wfdb.py and beats/wfdb.py read them."""

from pathlib import Path

import numpy as np

from sleepkd.errors import UserError


def read_annotations(path: Path) -> tuple[np.ndarray, list[str], list[str]]:
    """When each annotation is, s from the first sample of the recording, its symbol and its text.

    The rate is the annotation file's own or that of the header (.hea) beside it. Raises UserError: cannot be read, cut
    off, no rate.
    """
    import wfdb  # here: it brings pandas and half a browser along, which no other format needs

    try:
        content = path.read_bytes()
        if len(content) % 2 or content[-2:] != b"\0\0":
            raise UserError(f"{path}: is cut off or no WFDB annotation file: it has no end mark")
        found = wfdb.rdann(str(path.with_suffix("")), path.suffix.removeprefix("."))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:  # wfdb has no error of its own
        raise UserError(f"{path}: cannot be read as WFDB annotations: {error}") from None
    if not found.fs:
        raise UserError(
            f"{path}: says no sampling frequency, and no header {path.with_suffix('.hea').name} is beside it"
        )
    return found.sample / float(found.fs), list(found.symbol), [note.strip("\0 ") for note in found.aux_note]
