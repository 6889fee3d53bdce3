"""What the cluster has and could have, and where stages may run on it.

Machines that an autoscaler could bring count before they run: work for them waits, and they come. Ray has no public way
to ask for them, so they are read from what `ray up` leaves on the head (~/ray_bootstrap_config.yaml), or from
SIGFLOW_NODE_TYPES in the environment of whoever starts the job, JSON such as
[{"name": "gpu", "count": 8, "resources": {"CPU": 4, "GPU": 1}}]. An autoscaler knows of a machine that is not there yet
only the labels that its configuration gives it, and starts what a stage keeps off unless KIND is one of them.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import ray
import yaml
from pydantic import TypeAdapter, ValidationError

from sigflow.config import Config
from sigflow.errors import UserError

NODE_TYPES = "SIGFLOW_NODE_TYPES"
KIND = "sigflow/kind"  # a label: the name of its kind, on machines that an autoscaler brings
_LEFT_BY_RAY_UP = Path("~/ray_bootstrap_config.yaml")
_GROUP, _ID = "ray.io/node-group", "ray.io/node-id"  # labels that Ray gives to nodes, the first to an autoscaler's


Amounts: TypeAlias = Mapping[str, float | int]  # of resources, by Ray's names for them


class Kind(Config):
    """Machines that an autoscaler could bring. `count`: of them at once, those that run included."""

    name: str
    count: int
    resources: dict[str, float]


@dataclass(frozen=True)
class Node:
    """One that runs. `kind`: of which it is, if an autoscaler brought it."""

    id: str
    resources: Amounts
    kind: str | None = None


@dataclass(frozen=True)
class Reach:
    """A cluster as it is, and as large as it could become. `idle_gpus`: nothing holds a part of any."""

    nodes: tuple[Node, ...]
    kinds: tuple[Kind, ...] = ()
    idle_gpus: bool = True

    def places(self, bundle: Amounts) -> int:
        """How many such bundles could run side by side, if nothing else did."""
        known = {kind.name for kind in self.kinds}
        here = sum(_times(bundle, node.resources) for node in self.nodes if node.kind not in known)
        return here + sum(kind.count * _times(bundle, kind.resources) for kind in self.kinds)

    def without_gpus(self) -> "Reach":
        """Where work without GPUs runs: beside them only if they are idle and cost the same, or there is nothing else.

        Work that is there keeps an autoscaler from ending a machine.
        """
        kinds = tuple(kind for kind in self.kinds if not kind.resources.get("GPU"))
        nodes = tuple(node for node in self.nodes if not node.resources.get("GPU"))
        other = Reach(nodes, kinds)
        if (self.idle_gpus and not self.kinds) or not other.places({"CPU": 1}):
            return self
        return other

    def with_gpus(self) -> "Reach":
        """The machines that have some."""
        kinds = tuple(kind for kind in self.kinds if kind.resources.get("GPU"))
        return Reach(tuple(node for node in self.nodes if node.resources.get("GPU")), kinds)

    def selector(self, part: "Reach") -> dict[str, str]:
        """Labels of all nodes but those that `part` leaves out, also of those that come later."""
        ids = sorted({node.id for node in self.nodes} - {node.id for node in part.nodes})
        kinds = sorted({kind.name for kind in self.kinds} - {kind.name for kind in part.kinds})
        labels = ((_ID, ids), (_GROUP, kinds), (KIND, kinds))
        return {label: f"!in({','.join(out)})" for label, out in labels if out}

    def __str__(self) -> str:
        here = "; ".join(words(node.resources) or "nothing" for node in self.nodes)
        come = "; ".join(f"{kind.count} {kind.name} of {words(kind.resources)}" for kind in self.kinds)
        return f"{len(self.nodes)} {'node' if len(self.nodes) == 1 else 'nodes'}: {here}" + (
            f"; could have {come}" if come else ""
        )


def reach() -> Reach:
    """Of the cluster that this process has joined.

    Raises:
        UserError: SIGFLOW_NODE_TYPES cannot be read.
    """
    nodes = tuple(
        Node(node["NodeID"], node["Resources"], node["Labels"].get(_GROUP)) for node in ray.nodes() if node["Alive"]
    )
    total, free = (resources.get("GPU", 0.0) for resources in (ray.cluster_resources(), ray.available_resources()))
    return Reach(nodes, kinds(os.environ, _LEFT_BY_RAY_UP.expanduser()), idle_gpus=free >= total)


def kinds(environment: Mapping[str, str], left: Path) -> tuple[Kind, ...]:
    """What an autoscaler could bring; `left`: the file of `ray up`, where the environment does not say."""
    if text := environment.get(NODE_TYPES):
        try:
            return TypeAdapter(tuple[Kind, ...]).validate_json(text)
        except ValidationError as error:
            raise UserError(
                f'{NODE_TYPES} is not as [{{"name": "gpu", "count": 8, "resources": {{"CPU": 4, "GPU": 1}}}}]: '
                f"{error.errors()[0]['msg']}"
            ) from error
    if not left.exists():
        return ()
    config = yaml.safe_load(left.read_text())
    most = int(config.get("max_workers", 0))
    return tuple(
        Kind(name=name, count=min(most, int(kind.get("max_workers", 0))), resources=_numbers(kind["resources"]))
        for name, kind in config["available_node_types"].items()
        if name != config["head_node_type"]
    )


def per_worker(gpu: bool) -> dict[str, float]:
    """What one training gets: a whole device, and of a machine with GPUs no CPU, so that nothing else keeps it away."""
    return {"GPU": 1.0} if gpu else {"CPU": 1.0}


def refuse_impossible(there: Reach, bundle: Amounts, count: int, asks: str) -> None:
    """End what would wait for ever. `asks`: who wants `count` such bundles side by side.

    Raises:
        UserError: so many will never fit.
    """
    if (most := there.places(bundle)) >= count:
        return
    fewer = f"ask for at most {most}, or " if most else ""
    raise UserError(
        f"{asks} needs {count} x {words(bundle)}, and this cluster has place for {most} ({there}); {fewer}add nodes, "
        f"or say in {NODE_TYPES} which ones an autoscaler would bring"
    )


def words(resources: Amounts) -> str:
    """Of resources what people ask for, by name."""
    shown = {name: resources[name] for name in ("CPU", "GPU", "memory") if resources.get(name)}
    return ", ".join(
        f"{name} {value:g}" if name != "memory" else f"{value / 2**30:.1f} GiB" for name, value in shown.items()
    )


def _times(bundle: Amounts, resources: Amounts) -> int:
    times = (int(resources.get(name, 0.0) / value + 1e-9) for name, value in bundle.items() if value)
    return min(times, default=sys.maxsize)


def _numbers(resources: Mapping[str, object]) -> dict[str, float]:
    return {name: float(value) for name, value in resources.items() if isinstance(value, int | float)}
