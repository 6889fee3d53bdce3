"""Clips that all workers read.

Those that fit into the object store are put there once. Of others every node has a spool (`sigflow.data.spool`): its
first worker reads the landmark files for all of them. Workers borrow it, and whoever has shared it removes it in the
end.
"""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sigflow.data.clips import Clips
from sigflow.data.spool import sweep

_STORE_SHARE = 0.8  # of a node's object store
_SWEEP_S = 30.0  # a lost node must not keep a job from ending


@contextmanager
def shared_clips(clips: Clips, unlabelled: Clips | None) -> Iterator[tuple[Any, Any]]:
    """Where workers find them, for `borrowed_clips`.

    Raises:
        UserError: they are too large for the object store of the nodes, and in no file.
    """
    stores = [node["Resources"].get("object_store_memory", 0.0) for node in ray.nodes() if node["Alive"]]
    there = [its for its in (clips, unlabelled) if its is not None]
    small = all(its.spool is None for its in there) and sum(its.nbytes for its in there) <= _STORE_SHARE * min(stores)
    put = [ray.put(its.arrays() if small else its.outline()) for its in there]
    try:
        yield put[0], put[1] if unlabelled is not None else None
    finally:
        if not small:
            _sweep_nodes()


@contextmanager
def borrowed_clips(clips: Any, unlabelled: Any) -> Iterator[tuple[Clips, Clips | None]]:
    """In a worker: what `shared_clips` gave, read without a copy.

    Raises:
        UserError: this node's disk is too small, or the files were changed.
    """
    with closing(Clips.from_arrays(ray.get(clips))) as labelled:
        if unlabelled is None:
            yield labelled, None
            return
        with closing(Clips.from_arrays(ray.get(unlabelled))) as others:
            yield labelled, others


def _sweep_nodes() -> None:
    """Remove what no worker has open any more, on every node; what cannot be now, the next run there finds."""
    try:
        nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
        swept = [
            ray.remote(sweep)
            .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
            .remote()
            for node in nodes
        ]
        ray.get(swept, timeout=_SWEEP_S)
    except (RayError, TimeoutError) as error:
        print(f"warning: landmarks may be left in a node's spool: {error}", file=sys.stderr)
