"""Landmarks as stick figures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection

from sigflow.topology import PARTS


def draw_landmarks(
    axis: Any, points: Mapping[str, np.ndarray], colours: Mapping[str, str], *, size: float = 1.0
) -> None:
    """Parts (points, 2) by name, in the axis's own units. NaN, and points that a part was cut off before: not drawn.

    The face is drawn as its contours alone.
    """
    for part, points_P2 in points.items():
        edges = [points_P2[list(edge)] for edge in PARTS[part].edges if max(edge) < len(points_P2)]
        edges = [edge for edge in edges if np.isfinite(edge).all()]
        axis.add_collection(LineCollection(edges, colors=colours[part], linewidths=1.2 * size))
        if part != "face":
            axis.scatter(*points_P2.T, s=4 * size, color=colours[part], zorder=3)
