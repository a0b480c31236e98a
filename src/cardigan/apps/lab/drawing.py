"""Figures in one style, without a window."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cardigan.errors import RunError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, REAL, FAKE, THIRD, GREY = "#222222", "#1f6feb", "#d1242f", "#2da44e", "#999999"
PALETTE = (REAL, FAKE, THIRD, "#8250df", "#bf8700", "#0a7e8c")
DPI = 110


def require_drawing() -> None:
    """Refuse before any work is done where nothing could be drawn, or no transport solved.

    Raises:
        RunError: without the libraries for it.
    """
    for library in ("matplotlib", "ot"):
        try:
            import_module(library)
        except ImportError as error:
            raise RunError("the lab draws with matplotlib and checks with POT: pip install 'cardigan[lab]'") from error


def panels(count: int, rows: int = 1, width: float = 4.6, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure of `count` plots in so many rows."""
    from matplotlib.figure import Figure

    columns = -(-count // rows)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel().tolist()
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        axis.set_prop_cycle(color=PALETTE)
    for axis in axes[count:]:
        axis.set_axis_off()
    return figure, axes[:count]


def label(axis: Axes, title: str, x: str = "", y: str = "", legend: bool = True, **scales: Any) -> None:
    """The words around a plot; scales as `xscale="log"`."""
    axis.set_title(title, fontsize=10, loc="left", color=INK)
    axis.set_xlabel(x, fontsize=9)
    axis.set_ylabel(y, fontsize=9)
    axis.set(**scales)
    if legend and axis.get_legend_handles_labels()[1]:
        axis.legend(fontsize=8, frameon=False)


def picture(figure: Figure) -> Image.Image:
    """The figure as pixels, a frame of a movie."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DPI * 0.7)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
