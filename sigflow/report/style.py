"""What all pictures have in common: colours, axes, and PNG bytes without pyplot's global state."""

import io
from typing import Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

# Okabe and Ito 2008, "Color universal design": told apart with any colour vision, and in grey by their lightness.
BLUE, ORANGE, GREEN, GREY, INK = "#0072b2", "#d55e00", "#009e73", "#9a9a9a", "#222222"
PART_COLOURS = {"left_hand": BLUE, "right_hand": ORANGE, "pose": GREEN, "face": GREY}


def new_figure(width: float, height: float, *, header: float = 0.0) -> Figure:
    """Inches, for a page about 10 wide; `header`: kept free above the axes."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - header / height)))


def plain(axis: Any, title: str = "", *, x: str = "", y: str = "") -> None:
    """Only the two axes that are read, a light grid behind, the title on the left."""
    axis.set_title(title, loc="left", fontsize=10, color=INK)
    axis.set_xlabel(x, fontsize=9)
    axis.set_ylabel(y, fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.set_axisbelow(True)


def png(figure: Figure, dpi: int = 110) -> bytes:
    """The drawn figure."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()


def shortened(text: str, longest: int = 24) -> str:
    """A label as far as a picture has room, and with no letter that matplotlib would read as a formula's."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return cut.replace("$", r"\$")
