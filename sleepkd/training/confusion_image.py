"""Confusion matrix as an image for TensorBoard, drawn with Pillow: training does not need matplotlib."""

from collections.abc import Sequence

import numpy as np

from sleepkd.extras import require_extra
from sleepkd.palette import FAINT_INK, INK, UNSCORED_FILL, ramp, rgb, text_on

_CELL, _LEFT, _TOP, _MARGIN = 96, 96, 72, 16


def confusion_image(confusion: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """Draw a (K, K) confusion matrix: percentage of each scored class by colour and text, counts below.

    Returns (H, W, 3) uint8. A class that was never scored has a grey row.
    Raises UserError where Pillow is not installed.
    """
    require_extra("PIL", "train", "confusion matrices in TensorBoard")
    from PIL import Image, ImageDraw, ImageFont

    k = len(class_names)
    image = Image.new("RGB", (_LEFT + k * _CELL + _MARGIN, _TOP + k * _CELL + _MARGIN), "white")
    draw = ImageDraw.Draw(image)
    large, small = ImageFont.load_default(20), ImageFont.load_default(14)
    draw.text((_LEFT + k * _CELL / 2, 18), "predicted", fill=FAINT_INK, font=small, anchor="mm")
    draw.text((_LEFT - 12, _TOP - 14), "scored", fill=FAINT_INK, font=small, anchor="rm")
    for i, name in enumerate(class_names):
        draw.text((_LEFT + (i + 0.5) * _CELL, _TOP - 24), name, fill=INK, font=large, anchor="mm")
        draw.text((_LEFT - 12, _TOP + (i + 0.5) * _CELL), name, fill=INK, font=large, anchor="rm")
        total = int(np.sum(confusion[i]))
        for j in range(k):
            left, top = _LEFT + j * _CELL, _TOP + i * _CELL
            share = confusion[i][j] / total if total else 0.0
            fill = ramp(share) if total else rgb(UNSCORED_FILL)
            draw.rectangle((left + 1, top + 1, left + _CELL - 2, top + _CELL - 2), fill=fill)
            centre = left + _CELL / 2
            if total:
                ink = text_on(fill)
                draw.text((centre, top + 0.42 * _CELL), f"{100 * share:.0f}%", fill=ink, font=large, anchor="mm")
                draw.text((centre, top + 0.70 * _CELL), f"{int(confusion[i][j]):,}", fill=ink, font=small, anchor="mm")
            else:
                draw.text((centre, top + 0.5 * _CELL), "0", fill=FAINT_INK, font=small, anchor="mm")
    return np.asarray(image, dtype=np.uint8)
