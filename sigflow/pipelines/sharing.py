"""Clips that all workers read."""

from typing import Any

import ray

from sigflow.data.clips import Clips
from sigflow.errors import UserError


def put_clips(clips: Clips) -> Any:
    """The clips once in the object store, from where all workers of a node read them without a copy.

    Raises:
        UserError: they are too large for the object store of the nodes.
    """
    size = sum(tensor.nbytes for tensor in (clips.offsets, clips.time_s_S, clips.aspect_N, *clips.parts.values()))
    stores = [node["Resources"].get("object_store_memory", 0.0) for node in ray.nodes() if node["Alive"]]
    if size > 0.8 * min(stores):
        raise UserError(
            f"the clips take {size / 2**30:.1f} GiB, but a node's object store holds {min(stores) / 2**30:.1f} GiB; "
            "start Ray with a larger --object-store-memory, or read fewer parts"
        )
    return ray.put(clips.arrays())
