"""One set of colours for every picture, safe for the common colour-vision deficiencies; no drawing library imported.

Wake is warm, REM purple, NREM a ramp of blues that darkens with depth, so that lightness alone also tells them apart.
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
FAINT_INK = "#6B7A86"
GRID = "#D9E0E5"
UNSCORED_FILL = "#EEF1F3"
POSITIVE, NEGATIVE = "#1F6FA8", "#C8553D"
MODEL_COLOURS = ("#1F6FA8", "#D9822B", "#5B6770", "#B5478A", "#3B8F7B")
"""For models drawn side by side, in the order given."""

# White to the deepest blue, the ramp of all matrices.
SEQUENTIAL = ("#FFFFFF", "#DCEAF5", "#A9CCE5", "#6AA5D0", "#33789F", "#17456E")
DIVERGING = ("#C8553D", "#E9B3A5", "#FFFFFF", "#9CC3DF", "#1F6FA8")


def display_order(class_names: Sequence[str]) -> list[int]:
    """Class indices from the top of a hypnogram to its bottom, as the field draws it: W, REM, NREM by depth."""
    rank = {"W": 0, "REM": 1}
    return sorted(range(len(class_names)), key=lambda k: (rank.get(class_names[k], 2), k))


def rgb(colour: str) -> tuple[int, int, int]:
    """A "#RRGGBB" colour as three numbers, 0 … 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def ramp(share: float, colours: Sequence[str] = SEQUENTIAL) -> tuple[int, int, int]:
    """The colour at `share` (0 … 1) of a ramp, by linear interpolation in RGB, 0 … 255 each."""
    position = min(max(share, 0.0), 1.0) * (len(colours) - 1)
    low = min(int(position), len(colours) - 2)
    pairs = zip(rgb(colours[low]), rgb(colours[low + 1]), strict=True)
    return tuple(round(a + (b - a) * (position - low)) for a, b in pairs)


def text_on(colour: tuple[int, int, int]) -> str:
    """Ink or white, whichever reads better on a colour (relative luminance, ITU-R BT.709 weights)."""
    luminance = (0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]) / 255
    return INK if luminance > 0.5 else "#FFFFFF"
