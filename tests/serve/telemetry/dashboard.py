"""What serve/telemetry/grafana.json asks for."""

import json
import re
from pathlib import Path

import serve

FILE = Path(serve.__file__).parent / "telemetry/grafana.json"
# Of Ray, where there are GPUs.
ON_GPUS = {"ray_node_gpus_utilization"}


def expressions() -> list[str]:
    """Of all panels."""
    panels = json.loads(FILE.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def names() -> set[str]:
    """All metrics in them."""
    return {name for expression in expressions() for name in re.findall(r"\bray_[a-z0-9_]+", expression)}
