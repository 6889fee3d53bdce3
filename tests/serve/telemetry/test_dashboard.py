"""If these fail, a panel stays empty for ever, or something is measured that nobody sees."""

import json

from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

from serve.telemetry.meters import METRICS
from sigflow.pipelines.meters import COUNTERS, GAUGES
from tests.serve.telemetry.dashboard import FILE, ON_GPUS, names

OURS = {
    *(
        f"ray_sigflow_{name}_bucket" if it.kind == "histogram" else f"ray_sigflow_{name}"
        for name, it in METRICS.items()
    ),
    *(f"ray_sigflow_{name}" for name in (*COUNTERS, *GAUGES)),
}


def test_all_that_is_measured_is_drawn_and_nothing_else() -> None:
    assert {name for name in names() if name.startswith("ray_sigflow_")} == OURS


def test_of_gpus_ray_tells_what_is_drawn() -> None:
    assert {name.removeprefix("ray_") for name in ON_GPUS} <= set(METRICS_GAUGES)


def test_panels_have_numbers_and_places_of_their_own() -> None:
    panels = json.loads(FILE.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
