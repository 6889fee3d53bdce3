"""The process that learns, under a Ray actor with a name: it outlives replicas, and any of them can tell and stop it.

A process of its own, because learning needs torch, which no replica loads; on this cluster, by RAY_ADDRESS. Ray's own
job submission would need the dashboard, which a cluster that `python -m serve` starts for itself does not have.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from serve.problems import ProblemError
from sigflow.pipelines.stages import Job, is_silent, new_job, read_job, write_job
from sigflow.storage import Location

_NAMESPACE = "sigflow"
_START_S, _AGAIN_S = 20.0, 0.2
_GRACE_S = 10.0  # to say that it was stopped; then it is killed
_GONE = "its process is gone; start it again, what is finished stays"


def begin(folder: Location, wanted: Mapping[str, Any]) -> Job:
    """Start a job. `wanted`: what `sigflow.pipelines.learn` takes, beside the folder.

    Raises:
        ProblemError: 409, one runs; 501, there is no Ray.
    """
    if not ray.is_initialized():
        raise ProblemError(501, "this server runs without Ray; train with jobs/learn.py")
    running = ProblemError(409, "a job runs here; wait for it, or stop it")
    if (job := now(folder)) and job.state == "running":
        raise running
    job = new_job(uuid.uuid4().hex[:12], wanted["until"])
    request = {**wanted, "videos": (folder / "clips").uri, "out": folder.uri, "job_id": job.id}
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        actor = (
            ray.remote(Learner)
            .options(
                name=_name(folder), namespace=_NAMESPACE, lifetime="detached", get_if_exists=True, num_cpus=0,
                max_concurrency=4, scheduling_strategy=here,
            )
            .remote(folder)
        )  # fmt: skip
        with suppress(RayActorError):  # that of a job which ended just now
            if not ray.get(actor.start.remote(job, json.dumps(request))):
                raise running
            return job
        time.sleep(_AGAIN_S)
    raise ProblemError(503, "the job does not start; try again", {"Retry-After": "1"})


def now(folder: Location) -> Job | None:
    """The last job of this folder; None: there was none."""
    job = read_job(folder)
    if job is None or job.state != "running" or _actor(folder) is not None or not is_silent(folder):
        return job
    job = read_job(folder)  # it may have ended between the questions
    return job.ended("failed", _GONE) if job and job.state == "running" else job


def stop(folder: Location) -> None:
    """End the job, if one was begun here."""
    if (actor := _actor(folder)) is not None:
        with suppress(RayActorError):  # it ended by itself
            ray.get(actor.stop.remote())


def _actor(folder: Location) -> Any | None:
    if not ray.is_initialized():
        return None
    try:
        return ray.get_actor(_name(folder), namespace=_NAMESPACE)
    except ValueError:
        return None


def _name(folder: Location) -> str:
    return f"learner-{hashlib.sha256(folder.uri.encode()).hexdigest()[:16]}"


class Learner:
    """The actor: one process, and ends with it."""

    def __init__(self, folder: Location) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def start(self, job: Job, request: str) -> bool:
        """False: one runs already. One that says that it is done only has to leave the cluster, and this ends then."""
        with self._lock:
            if self._process is not None:
                said = read_job(self._folder)
                if said is not None and said.state != "running":
                    self._end()
                return False
            write_job(self._folder, job)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sigflow.pipelines.learn"],
                env=os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address},
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            assert self._process.stdin
            self._process.stdin.write(request.encode() + b"\n")  # and it stays open: its end is the process's
            self._process.stdin.flush()
            threading.Thread(target=self._wait, args=(self._process, job), daemon=True).start()
            return True

    def stop(self) -> None:
        """End the process and whatever it started; what is finished stays. This ends with it, and answers nobody."""
        with self._lock:
            if self._process is None:
                return
            self._stopped = True
            self._signal(signal.SIGINT)
        self._end()

    def _end(self) -> None:
        """Wait for the end of the process, which is this one's too: there is no way on from here."""
        time.sleep(_GRACE_S)
        self._signal(signal.SIGKILL)
        threading.Event().wait()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _wait(self, process: subprocess.Popen[bytes], job: Job) -> None:
        code = process.wait()
        self._signal(signal.SIGKILL)  # what it left behind
        with suppress(OSError):
            said = read_job(self._folder)
            if said is None or (said.id == job.id and said.state == "running"):
                error = None if self._stopped else f"its process ended ({_why(code)}); start it again to go on"
                write_job(self._folder, (said or job).ended("stopped" if self._stopped else "failed", error))
        os._exit(0)  # a thread has no gentler way to end an actor; whoever asks meanwhile is told


def _why(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"
