"""Colours of all figures, safe for common colour-vision deficiencies. No drawing library is imported.

Wake is orange, REM purple, and NREM blue, darker with depth, so that lightness alone separates the stages.
"""

from collections.abc import Sequence

STAGE_COLOURS = {
    "W": "#E8A33D",
    "REM": "#B5478A",
    "NREM": "#4A90C2",
    "light": "#7FB8DE",
    "N1": "#9CCAEA",
    "N2": "#5A9FCF",
    "N3": "#17456E",
    "deep": "#17456E",
}
INK = "#22303C"
FAINT_INK = "#566470"
GRID = "#D9E0E5"
UNSCORED_FILL = "#EEF1F3"
POSITIVE, NEGATIVE = "#1F6FA8", "#B5452F"
MODEL_COLOURS = (
    "#1F6FA8", "#D9822B", "#5B6770", "#B5478A", "#3B8F7B", "#8A5A2B",
    "#6A51A3", "#B5452F", "#7FB8DE", "#8FAF3C", "#E39BC0", "#22303C",
)  # fmt: skip
"""Colours of models in one figure, in the order given."""

# White to dark blue: the colour ramp of all matrices.
SEQUENTIAL = ("#FFFFFF", "#DCEAF5", "#A9CCE5", "#6AA5D0", "#33789F", "#17456E")
DIVERGING = ("#B5452F", "#E9B3A5", "#FFFFFF", "#9CC3DF", "#1F6FA8")


def display_order(class_names: Sequence[str]) -> list[int]:
    """Class indices from top to bottom of a hypnogram in the usual order: W, REM, then NREM by depth."""
    rank = {"W": 0, "REM": 1}
    return sorted(range(len(class_names)), key=lambda k: (rank.get(class_names[k], 2), k))


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 … 255, of a "#RRGGBB" colour."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def ramp(share: float, colours: Sequence[str] = SEQUENTIAL) -> tuple[int, int, int]:
    """The colour at `share` (0 … 1) of a colour ramp, interpolated linearly in RGB, 0 … 255 each."""
    position = min(max(share, 0.0), 1.0) * (len(colours) - 1)
    low = min(int(position), len(colours) - 2)
    start, end = rgb(colours[low]), rgb(colours[low + 1])
    red, green, blue = (round(a + (b - a) * (position - low)) for a, b in zip(start, end, strict=True))
    return red, green, blue


def text_on(colour: tuple[int, int, int]) -> str:
    """Text colour of higher contrast on a colour, ink or white (relative luminance, ITU-R BT.709 weights)."""
    luminance = (0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]) / 255
    return INK if luminance > 0.5 else "#FFFFFF"
