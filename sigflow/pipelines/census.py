"""What a Ray cluster is doing: nodes, what is used and waited for, jobs, Serve; and what fits on none of its nodes."""

import os
from collections.abc import Iterator
from typing import Any

import ray
from ray import serve
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.exceptions import RayError
from ray.util.state import list_jobs
from ray.util.state.exception import RayStateApiException

from sigflow.errors import UserError
from sigflow.pipelines.job import connect
from sigflow.pipelines.placement import reach

_SHOWN = ("CPU", "GPU", "memory", "object_store_memory")
_BYTES = ("memory", "object_store_memory")


def census() -> dict[str, Any]:
    """The cluster that RAY_ADDRESS names.

    Returns:
        nodes (alive, dead), resources (used and total, memory in bytes), waiting (bundles that were asked for and are
        not placed yet; `fits`: some node has as much when it is idle, otherwise they wait for a node that is not
        here; `can_come`: an autoscaler could bring one), starting and failed nodes of the autoscaler, jobs that run,
        Serve's applications.

    Raises:
        UserError: no cluster is named, or it does not answer.
    """
    if not os.environ.get("RAY_ADDRESS") and not ray.is_initialized():
        raise UserError("--cluster needs RAY_ADDRESS=HOST:PORT of a running cluster; Ray sets it in submitted jobs")
    connect()
    try:
        nodes = ray.nodes()
        total, free = ray.cluster_resources(), ray.available_resources()
        known = get_cluster_status(ray.get_runtime_context().gcs_address)
        jobs = [job for job in list_jobs(filters=[("status", "=", "RUNNING")]) if not _own(job)]
        applications = serve.status().applications
    except (RayError, RayStateApiException, RuntimeError, OSError) as error:
        raise UserError(f"the cluster does not answer: {' '.join(str(error).split())[:200]}") from error
    alive, could_come = [node for node in nodes if node["Alive"]], reach().kinds
    return {
        "nodes": {"alive": len(alive), "dead": len(nodes) - len(alive)},
        "resources": {
            name: {"used": round(total[name] - free.get(name, 0.0), 4), "total": total[name]}
            for name in _SHOWN
            if name in total
        },
        "waiting": [
            {
                "resources": bundle,
                "count": count,
                "fits": any(_fits(bundle, node["Resources"]) for node in alive),
                "can_come": any(_fits(bundle, kind.resources) for kind in could_come),
            }
            for bundle, count in _demands(known)
        ],
        "starting": [f"{launch.count} {launch.ray_node_type_name}" for launch in known.pending_launches]
        + [node.ray_node_type_name for node in known.pending_nodes],
        "not_started": [
            f"{launch.count} {launch.ray_node_type_name}: {launch.details}" for launch in known.failed_launches
        ],
        "jobs": [{"id": job.submission_id or job.job_id, "entrypoint": job.entrypoint} for job in jobs],
        "serve": {
            name: {
                "status": application.status.value,
                "replicas": {
                    deployed: {str(state): count for state, count in each.replica_states.items()}
                    for deployed, each in application.deployments.items()
                },
            }
            for name, application in applications.items()
        },
    }


def _own(job: Any) -> bool:
    return bool(job.job_id == ray.get_runtime_context().get_job_id())


def _demands(known: Any) -> Iterator[tuple[dict[str, float], int]]:
    """Of tasks, actors and placement groups; without what Ray adds to them for itself."""
    wanted = known.resource_demands
    for demand in (*wanted.ray_task_actor_demand, *wanted.placement_group_demand):
        for each in demand.bundles_by_count:
            yield {name: value for name, value in each.bundle.items() if "_group_" not in name}, each.count


def _fits(bundle: dict[str, float], node: dict[str, float]) -> bool:
    return all(node.get(name, 0.0) >= value for name, value in bundle.items())


def told(found: dict[str, Any]) -> Iterator[str]:
    """`census` for people, a line each."""
    nodes = found["nodes"]
    used = ", ".join(
        f"{name} {_amount(name, it['used'])}/{_amount(name, it['total'])}" for name, it in found["resources"].items()
    )
    yield f"cluster: {nodes['alive']} nodes" + (f" ({nodes['dead']} lost)" if nodes["dead"] else "") + f"; used {used}"
    for it in found["waiting"]:
        bundle = ", ".join(f"{name} {_amount(name, value)}" for name, value in it["resources"].items()) or "nothing"
        yield f"  waiting: {it['count']} x {bundle}" + (
            "" if it["fits"] else f", which no node that is here has{', but one can come' if it['can_come'] else ''}"
        )
    for kind in ("starting", "not_started"):
        for line in found[kind]:
            yield f"  {kind.replace('_', ' ')}: {line}"
    for job in found["jobs"]:
        yield f"  job {job['id']}: {job['entrypoint']}"
    for name, application in found["serve"].items():
        replicas = ", ".join(
            f"{deployed} {' '.join(f'{count} {state}' for state, count in states.items())}"
            for deployed, states in application["replicas"].items()
        )
        yield f"  serve {name}: {application['status']}, {replicas}"


def _amount(name: str, value: float) -> str:
    return f"{value / 2**30:.1f} GiB" if name in _BYTES else f"{value:g}"
