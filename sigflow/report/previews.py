"""Pictures of data: clips with their landmarks drawn over the video, and features over time; PNG bytes."""

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from sigflow.landmarks.video import Sampling, read_frames
from sigflow.report.skeleton import draw_landmarks
from sigflow.report.style import png
from sigflow.storage import locate
from sigflow.topology import PARTS

# Bright: they lie on video.
_COLOURS = {"left_hand": "#1f9bff", "right_hand": "#ff7f2a", "pose": "#3ddc84", "face": "#e8e8e8"}


class Panel(NamedTuple):
    """Some columns of a feature, drawn into one pair of axes."""

    title: str
    lines: Mapping[str, int]  # column by the name that the legend gives it
    limits: tuple[float, float] | None = None  # of the values; None: as far as each clip goes
    down: bool = False  # the values grow downwards


class Curves(NamedTuple):
    """A feature over one clip; NaN: missing."""

    title: str
    time_s_T: np.ndarray
    values_TF: np.ndarray


def contact_sheet(rows: pa.Table, *, frames_each: int = 5) -> bytes:
    """One row per clip, `frames_each` frames of it with the stored landmarks drawn over the video."""
    figure = Figure(figsize=(2.2 * frames_each, 1.9 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), frames_each, squeeze=False)
    for line, clip in zip(axes, rows.to_pylist(), strict=True):
        chosen = np.linspace(0, clip["num_frames"] - 1, frames_each).round().astype(int)
        for axis in line:
            axis.set_axis_off()
        wanted = dict(zip(chosen.tolist(), line, strict=False))
        with locate(clip["source"]).open() as stream:
            made_with = json.loads(clip["extractor"])["options"]
            sampling = Sampling.model_validate(made_with["sampling"])
            frames = read_frames(
                stream, sampling, mirrored=made_with["mirrored"], start_s=clip["start_s"] or 0.0, end_s=clip["end_s"]
            )
            for number, frame in enumerate(frames):
                if number in wanted:
                    _draw(wanted[number], frame.rgb_HWC, clip, number)
        line[0].set_title(clip_title(clip), loc="left", fontsize=9)
    return png(figure, 90)


def clip_title(clip: Mapping[str, Any]) -> str:
    """Of a row of a landmark file: its label and subject, or else its name."""
    return " · ".join(clip[name] for name in ("label", "subject") if clip[name]) or clip["clip_id"]


def feature_chart(clips: Sequence[Curves], panels: Sequence[Sequence[Panel]]) -> bytes:
    """The same rows of panels for each clip, over seconds; frames that are missing leave a gap."""
    size = (max(10.0, 3.4 * len(panels[0])), 0.4 * len(clips) + 2.3 * len(panels) * len(clips))
    figure = Figure(figsize=size, layout="constrained")
    for block, clip in zip(figure.subfigures(len(clips), 1, squeeze=False)[:, 0], clips, strict=True):
        block.suptitle(clip.title, x=0.01, ha="left", fontsize=10)
        axes = block.subplots(len(panels), len(panels[0]), squeeze=False)
        for axis, panel in zip(axes.flat, chain.from_iterable(panels), strict=True):
            shown_TF = clip.values_TF[:, list(panel.lines.values())]
            # With points: a frame between two gaps has no line.
            lines = axis.plot(clip.time_s_T, shown_TF, ".-", markersize=2.5, linewidth=1)
            if np.isnan(shown_TF).all():
                axis.text(0.5, 0.5, "missing", transform=axis.transAxes, ha="center", color="grey")
            axis.legend(
                lines, panel.lines, ncols=6 if len(panels[0]) < 3 else 3, fontsize=6.5,
                title=panel.title, title_fontsize=8,
                loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, columnspacing=1.0, borderpad=0.1,
            )  # fmt: skip
            axis.set(xlim=(clip.time_s_T[0], max(clip.time_s_T[-1], 1e-3)), ylim=panel.limits)
            if panel.down:
                axis.invert_yaxis()
            axis.tick_params(labelsize=7)
            axis.grid(alpha=0.3)
        for axis in axes[-1]:
            axis.set_xlabel("seconds", fontsize=7)
    return png(figure, 90)


def _draw(axis: Any, rgb_HWC: np.ndarray, clip: dict[str, Any], number: int) -> None:
    height, width = rgb_HWC.shape[:2]
    axis.imshow(rgb_HWC)
    points = {
        part: np.array(clip[part][number]).reshape(-1, 3)[:, :2] * (width, height)
        for part in PARTS
        if part in clip and clip[part][number] is not None
    }
    draw_landmarks(axis, points, _COLOURS)
    axis.set(xlim=(0, width), ylim=(height, 0))
