"""If these fail, a preview shows other numbers than models read, hides what was not seen, or asks too late."""

import io
import subprocess
import sys
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pytest
from matplotlib import image

from sigflow.errors import UserError
from sigflow.pipelines import feature_preview
from sigflow.pipelines.preview import FEATURES, check_preview
from sigflow.report import Curves, Panel
from sigflow.schema import encode_frames, landmark_schema
from sigflow.topology import MODELS, NUM_BLENDSHAPES, PARTS

Drawn: TypeAlias = list[tuple[Sequence[Curves], Sequence[Sequence[Panel]]]]
FRAMES = 12
GONE = slice(4, 7)  # frames in which nothing was seen


def rows(parts: Sequence[str], *, clips: int = 2) -> pa.Table:
    """Landmarks at random, with a gap."""
    rng = np.random.default_rng(0)
    schema = landmark_schema(parts)
    sizes = {part: 3 * PARTS[part].num_points for part in parts} | {"blendshapes": NUM_BLENDSHAPES}
    columns = []
    for field in schema:
        if field.name in sizes:
            values = [rng.random((FRAMES, sizes[field.name]), np.float32) for _ in range(clips)]
            for clip in values:
                clip[GONE] = np.nan
            columns.append(encode_frames(values, field))
        elif field.name == "time_ms":
            columns.append(pa.array([np.arange(FRAMES) * 40.0] * clips, field.type))
        else:
            given = {"clip_id": "a.mp4", "label": "wave", "num_frames": FRAMES, "width": 640, "height": 480}
            columns.append(pa.array([given.get(field.name)] * clips, field.type))
    return pa.table(columns, schema=schema)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """What is given to the chart, instead of drawing it."""
    found: Drawn = []

    def keep(clips: Sequence[Curves], panels: Sequence[Sequence[Panel]]) -> bytes:
        found.append((clips, panels))
        return b""

    monkeypatch.setattr(feature_preview, "feature_chart", keep)
    return found


@pytest.mark.parametrize("kind", FEATURES)
def test_every_kind_is_drawn_from_the_parts_that_it_names(kind: str, drawn: Drawn) -> None:
    """A kind that reads more than it says would end the job after hours of extraction."""
    feature_preview.draw_feature(rows([part for model in FEATURES[kind] for part in MODELS[model]]), kind)
    ((clips, grid),) = drawn
    assert len(clips) == 2
    panels = [panel for line in grid for panel in line]
    for clip in clips:
        for panel in panels:
            shown_TF = clip.values_TF[:, list(panel.lines.values())]
            assert np.isfinite(shown_TF[: GONE.start - 1]).all(), panel.title
            if panel.title != "body":  # presence is there all the time
                assert np.isnan(shown_TF[GONE]).all(), panel.title
        assert clip.time_s_T == pytest.approx(np.arange(FRAMES) * 0.04)


@pytest.mark.parametrize("kind", FEATURES)
def test_every_kind_gives_a_picture(kind: str) -> None:
    png = feature_preview.draw_feature(
        rows([part for model in FEATURES[kind] for part in MODELS[model]], clips=1), kind
    )
    assert np.asarray(image.imread(io.BytesIO(png))).ndim == 3


def test_the_wrists_line_is_the_wrists_path(drawn: Drawn) -> None:
    """Lines of other landmarks than their legend says would be believed."""
    table = rows(("left_hand", "right_hand"), clips=1)
    only_wrist_moves = np.tile(np.random.default_rng(0).random((1, 63), np.float32), (FRAMES, 1))
    only_wrist_moves[:, 0] += np.linspace(0, 1, FRAMES)
    for side, values in (("right_hand", only_wrist_moves), ("left_hand", np.full_like(only_wrist_moves, np.nan))):
        column = encode_frames([values], table.schema.field(side))
        table = table.set_column(table.schema.names.index(side), table.schema.field(side), column)
    feature_preview.draw_feature(table, "hand")
    ((clips, grid),) = drawn
    moving = {
        (panel.title[0], name)
        for panel in grid[0]
        for name, column in panel.lines.items()
        if np.ptp(clips[0].values_TF[:, column]) > 1e-3
    }
    assert moving == {("x", "wrist")}


def test_a_clip_from_before_the_part_was_extracted_is_drawn_as_missing(drawn: Drawn) -> None:
    """`--on-change keep` leaves such clips beside others; they must not end the job."""
    mixed = pa.concat_tables([rows(("pose",), clips=1), rows(("left_hand",), clips=1)], promote_options="default")
    feature_preview.draw_feature(mixed, "body")
    ((clips, _),) = drawn
    assert np.nanmax(clips[0].values_TF[:, -1]) == 1
    assert np.isnan(clips[1].values_TF[:, :-1]).all()


@pytest.mark.parametrize(
    ("count", "kinds", "models", "expected"),
    [
        (3, ["body"], ["hands"], "--parts hands,pose"),
        (3, ["hand", "lips"], ["hands", "pose"], "--parts hands,pose,face"),
        (0, ["hand"], ["hands"], "--preview"),
    ],
)
def test_what_cannot_be_drawn_is_refused(count: int, kinds: list[str], models: list[str], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        check_preview(count, kinds, models)


def test_what_can_be_drawn_is_not_refused() -> None:
    check_preview(3, list(FEATURES), list(MODELS))
    check_preview(0, [], ["hands"])


def test_workers_that_extract_do_not_load_torch() -> None:
    """Each of them would start two seconds later, and hold memory for nothing."""
    code = "import sys, sigflow.pipelines.extract; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0
