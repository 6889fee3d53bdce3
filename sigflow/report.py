"""Pictures of data and runs, as PNG bytes."""

import io
import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from sigflow.landmarks.video import Sampling, read_frames
from sigflow.storage import locate
from sigflow.topology import PARTS

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
    return _png(figure)


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
    return _png(figure)


def loss_curves(history: Sequence[dict[str, Any]]) -> bytes:
    """Loss and accuracy over epochs, one line per fold; `history` are the rows of history.csv."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for axis, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for number, fold in enumerate(sorted({row["fold"] for row in history})):
            epochs = [row for row in history if row["fold"] == fold]
            x = [float(row["epoch"]) for row in epochs]
            axis.plot(x, [float(row[name]) for row in epochs], color=f"C{number}", linewidth=1, linestyle=":")
            axis.plot(
                x,
                [float(row[f"stop_{name}"]) for row in epochs],
                color=f"C{number}",
                linewidth=1.5,
                label=f"fold {fold}",
            )
        axis.set(xlabel="epoch", ylabel=name, title=f"{name} (dotted: training, solid: stop part)")
        axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return _png(figure)


def confusion_matrix(counts: Sequence[Sequence[int]], labels: Sequence[str], title: str) -> bytes:
    """Counts (K, K), row: true class, column: predicted; shade: share of the true class."""
    counts_KK = np.array(counts)
    share_KK = counts_KK / np.maximum(counts_KK.sum(1, keepdims=True), 1)
    side = 2.0 + 0.55 * len(labels)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axis = figure.subplots()
    axis.imshow(share_KK, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts_KK):
        if count and len(labels) <= 30:
            axis.text(
                column,
                row,
                str(count),
                ha="center",
                va="center",
                color="white" if share_KK[row, column] > 0.5 else "black",
            )
    axis.set(xlabel="predicted", ylabel="true", title=title)
    axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axis.set_yticks(range(len(labels)), labels)
    return _png(figure)


def _draw(axis: Any, rgb_HWC: np.ndarray, clip: dict[str, Any], number: int) -> None:
    height, width = rgb_HWC.shape[:2]
    axis.imshow(rgb_HWC)
    for part in PARTS:
        if part in clip and clip[part][number] is not None:
            points = np.array(clip[part][number]).reshape(-1, 3)[:, :2] * (width, height)
            lines = [points[list(edge)] for edge in PARTS[part].edges]
            axis.add_collection(LineCollection(lines, colors=_COLOURS[part], linewidths=1.2))
            if part != "face":
                axis.scatter(*points.T, s=4, color=_COLOURS[part], zorder=3)
    axis.set(xlim=(0, width), ylim=(height, 0))


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=90)
    return stream.getvalue()
