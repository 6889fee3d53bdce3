"""What extracting so many clips takes, on paper: hours, bytes, files, memory of the driver, and with prices money.

A straight line through what was measured at one size; what bends it stands in cluster/README.md.
"""

from math import ceil
from typing import Any

from sigflow.config import Config
from sigflow.pipelines.compact import FILE_MB
from sigflow.pipelines.extract import MAX_CLIPS_PER_FILE


class Measured(Config):
    """Of this job: hands, 320 x 240 (`make bench BENCH=extraction`); the driver (`make bench BENCH=planning`)."""

    cpu_ms_per_frame: float = 25.5  # of all processes, Ray's too
    bytes_per_frame: float = 416.0
    start_s: float = 10.4  # of the workers
    planning_s: float = 12.2  # of a million clips: from the manifest to the first block
    driver_mib: float = 320.0  # of nothing
    driver_mib_per_million: float = 992.0
    blocks_per_s: float = 84.0  # that one driver hands out


class Prices(Config):
    """What your cloud asks, in its own money."""

    cpu_hour: float = 0.0
    gb_month: float = 0.0
    million_requests: float = 0.0


def estimate(clips: int, frames: float, cpus: int, measured: Measured, prices: Prices) -> dict[str, Any]:
    """Of `clips` of so many `frames` on `cpus`; `bound`: what limits the time.

    Costs: CPUs while they work, a month of the landmarks, requests for videos and rows; not the videos' own storage,
    the head, or CPUs that wait.
    """
    cpu_hours = clips * frames * measured.cpu_ms_per_frame / 3.6e6
    files = ceil(clips / MAX_CLIPS_PER_FILE)
    working_h = {"cpus": cpu_hours / min(cpus, clips), "driver": files / measured.blocks_per_s / 3600}
    bound = max(working_h, key=lambda name: working_h[name])
    hours = working_h[bound] + (measured.start_s + measured.planning_s * clips / 1e6) / 3600
    gb = clips * frames * measured.bytes_per_frame / 1e9
    requests = 2 * clips + 2 * files  # a video's footer and frames; two PUTs of a block
    return {
        "clips": clips,
        "cpu_hours": round(cpu_hours, 2),
        "hours": round(hours, 2),
        "bound": bound,
        "gb": round(gb, 3),
        "files": files,
        "files_compacted": max(1, ceil(gb * 1e9 / (FILE_MB << 20))),
        "driver_gib": round((measured.driver_mib + measured.driver_mib_per_million * clips / 1e6) / 1024, 2),
        "cost": round(
            cpu_hours * prices.cpu_hour + gb * prices.gb_month + requests / 1e6 * prices.million_requests, 2
        ),
    }  # fmt: skip
