"""The clips that are wrong although the model is sure of them: a mislabelled clip, or a lesson.

Shape suffixes: T frames, S frames that are drawn, P points, Q points of all parts, N clips, K classes.
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from sigflow.data.clips import Clips
from sigflow.report.skeleton import draw_landmarks
from sigflow.report.style import GREY, PART_COLOURS, png
from sigflow.topology import PARTS, POSE_NAMES

SNAPSHOTS = 6
LEFT_KNEE = POSE_NAMES.index("left_knee")
_EACH_PAIR = 2
_MARGIN = 0.08  # of the larger side


def surest_mistakes(probs_NK: np.ndarray, true_N: np.ndarray, count: int) -> list[int]:
    """Rows of up to `count` wrong clips, by the probability of what was answered; few of each pair of classes."""
    wrong_N = np.flatnonzero(probs_NK.argmax(1) != true_N)
    found: list[int] = []
    pairs = Counter[tuple[int, int]]()
    for row in wrong_N[np.argsort(-probs_NK[wrong_N].max(1), kind="stable")].tolist():
        pair = (int(true_N[row]), int(probs_NK[row].argmax()))
        if pairs[pair] < _EACH_PAIR and len(found) < count:
            pairs[pair] += 1
            found.append(row)
    return found


class Drawn(NamedTuple):
    """A clip as PNG, how many frames it has, and in how many of them anything that is drawn was detected."""

    picture: bytes | None
    frames: int
    seen: int


def draw_clip(clips: Clips, row: int) -> Drawn:
    """Frames from first to last among those with a detection; without a picture where there is none.

    One row of pictures in one scale; where the clip has a body and hands, the hands are drawn again, enlarged.
    """
    frames = slice(int(clips.offsets[row]), int(clips.offsets[row + 1]))
    aspect = float(clips.aspect_N[row])
    scale = np.array([aspect if np.isfinite(aspect) else 1.0, 1.0])  # x and y are shares of the picture's sides
    parts = {part: points[frames, :, :2].cpu().numpy() * scale for part, points in clips.parts.items() if part in PARTS}
    seen_T = np.zeros(frames.stop - frames.start, bool)
    for points_TP2 in parts.values():
        seen_T |= np.isfinite(points_TP2).all(2).any(1)
    if not seen_T.any():
        return Drawn(None, len(seen_T), 0)
    chosen = np.flatnonzero(seen_T)[np.linspace(0, seen_T.sum() - 1, SNAPSHOTS).round().astype(int)]
    parts = {part: points_TP2[chosen] for part, points_TP2 in parts.items()}
    hands = {part: points_SP2 for part, points_SP2 in parts.items() if part in ("left_hand", "right_hand")}
    enlarged = len(hands) < len(parts) and any(np.isfinite(points_SP2).any() for points_SP2 in hands.values())
    if enlarged:  # signs: the legs would make all else small
        parts = {part: p[:, :LEFT_KNEE] if part == "pose" else p for part, p in parts.items()}
    figure = Figure(figsize=(1.6 * SNAPSHOTS, 1.6 * (1 + enlarged) + 0.25))
    top = 1 - 0.25 / figure.get_figheight()
    figure.subplots_adjust(0.005, 0.01, 0.995, top, wspace=0.05, hspace=0.05)
    axes = figure.subplots(1 + enlarged, SNAPSHOTS, squeeze=False)
    _draw_row(axes[0], parts, still=True)
    if enlarged:
        _draw_row(axes[1], hands, still=False)
    time_s_T = clips.time_s_S[frames].cpu().numpy()
    for axis, number in zip(axes[0], chosen, strict=True):
        axis.set_title(f"{time_s_T[number]:.2f} s", fontsize=8, color="#555555")
    return Drawn(png(figure, 80), len(seen_T), int(seen_T.sum()))


def _draw_row(axes: np.ndarray, parts: Mapping[str, np.ndarray], *, still: bool) -> None:
    """Parts (S, P, 2), a picture for each of S frames in one scale, about one place (`still`) or its own."""
    all_SQ2 = np.concatenate(list(parts.values()), axis=1)
    low_S2, high_S2 = (np.full((len(axes), 2), np.nan) for _ in range(2))
    seen_S = np.isfinite(all_SQ2).all(2).any(1)
    low_S2[seen_S], high_S2[seen_S] = np.nanmin(all_SQ2[seen_S], axis=1), np.nanmax(all_SQ2[seen_S], axis=1)
    if still:
        low_S2[:], high_S2[:] = np.nanmin(low_S2, axis=0), np.nanmax(high_S2, axis=0)
    half = max(float(np.nanmax(high_S2 - low_S2)) / 2 * (1 + _MARGIN), 1e-3)
    centre_S2 = np.nan_to_num((low_S2 + high_S2) / 2)
    for axis, number in zip(axes, range(len(axes)), strict=True):
        shown = {part: points_SP2[number] for part, points_SP2 in parts.items()}
        draw_landmarks(axis, shown, PART_COLOURS, size=0.7)
        x, y = centre_S2[number]
        axis.set(xlim=(x - half, x + half), ylim=(y + half, y - half), xticks=[], yticks=[], aspect="equal")
        for spine in axis.spines.values():
            spine.set(color=GREY, linewidth=0.5)
