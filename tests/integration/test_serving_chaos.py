"""If these fail, a swap, a dead replica, scaling or a new release loses requests, or load does not bring replicas."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.integration.conftest import Cluster, free_port, wait_for
from tests.integration.serving import SMALL, Serving, load, of
from tests.integration.test_serving import Version, version

__all__ = ["version"]
pytestmark = pytest.mark.slow
TWO = SMALL | {"num_replicas": 2}


@pytest.fixture(scope="module")
def serving(cluster: Cluster, version: Version) -> Iterator[Serving]:
    deployed = Serving(cluster, free_port())
    began = time.monotonic()
    deployed.deploy(of(version("1")), TWO)
    wait_for(lambda: deployed.status() == "RUNNING", seconds=240)
    print(f"ready after {time.monotonic() - began:.1f} s")
    deployed.wait_until_running(2)
    try:
        yield deployed
    finally:
        deployed.shutdown()


def replaced(serving: Serving, process: int) -> bool:
    there = serving.processes()
    return len(there) == 2 and process not in there


def two_replicas(serving: Serving, settings: dict[str, object]) -> None:
    serving.deploy(settings, TWO)
    serving.wait_until_running(2)


def test_versions_come_and_go_under_load_and_nobody_notices(serving: Serving, version: Version) -> None:
    one, two, three = version("1"), version("2"), version("3")
    two_replicas(serving, of(one))
    serving.wait_for_versions("1")
    with load(serving.url) as seen:
        for bundles in ((two,), (two, three), (three,), (one, two, three), (one,)):
            serving.deploy(of(*bundles), TWO)
            serving.wait_for_versions(*(bundle.name for bundle in bundles))
    print(f"{seen.answered.total()} answered, {len(seen.failed)} failed, the longest took {seen.longest_s:.2f} s")
    assert seen.failed == []
    assert seen.answered.keys() == {"1", "2", "3"}


def test_a_replica_that_is_killed_takes_no_request_with_it(serving: Serving, version: Version) -> None:
    two_replicas(serving, of(version("1")))
    with load(serving.url) as seen:
        for _ in range(3):
            before = serving.processes()
            os.kill(before[0], signal.SIGKILL)
            wait_for(partial(replaced, serving, before[0]), seconds=200)
    print(f"{seen.answered.total()} answered, {len(seen.failed)} failed, the longest took {seen.longest_s:.2f} s")
    assert seen.failed == []


def test_what_was_begun_is_answered_when_replicas_go(serving: Serving, version: Version) -> None:
    two_replicas(serving, of(version("1")))
    with load(serving.url) as seen:
        serving.deploy(of(version("1")), SMALL)
        serving.wait_until_running(1)
        before = serving.processes()
        # Another replica's share of a CPU is another replica, as other code would be.
        serving.deploy(of(version("1")), SMALL | {"ray_actor_options": {"num_cpus": 0.4}})
        wait_for(lambda: len(serving.processes()) == 1 and serving.processes() != before, seconds=200)
    print(f"{seen.answered.total()} answered, {len(seen.failed)} failed, the longest took {seen.longest_s:.2f} s")
    assert seen.failed == []


def test_load_brings_replicas_and_they_go_with_it(serving: Serving, version: Version) -> None:
    scaling = {"min_replicas": 1, "max_replicas": 3, "target_ongoing_requests": 2}
    quick = {"upscale_delay_s": 1, "downscale_delay_s": 2, "metrics_interval_s": 1, "look_back_period_s": 2}
    options = {"autoscaling_config": scaling | quick, "ray_actor_options": {"num_cpus": 0.5}}
    serving.deploy(of(version("1")), options)
    serving.wait_until_running(1)
    began = time.monotonic()
    with load(serving.url) as seen:
        wait_for(lambda: len(serving.processes()) == 3, seconds=200)
        grown_s = time.monotonic() - began
    wait_for(lambda: len(serving.processes()) == 1, seconds=200)
    print(f"1 -> 3 in {grown_s:.1f} s, -> 1 in {time.monotonic() - began - grown_s:.1f} s, {len(seen.failed)} failed")
    assert seen.failed == []
    assert httpx.get(f"{serving.url}/readyz").status_code == 200


def test_a_new_replica_without_good_bundles_fails_and_says_why(serving: Serving, tmp_path: Path) -> None:
    serving.shutdown()
    serving.deploy({"bundles": [{"bundle": str(tmp_path)}]}, SMALL | {"max_constructor_retry_count": 1})
    wait_for(lambda: serving.status() == "DEPLOY_FAILED", seconds=240)
    assert "holds no bundle" in serving.message()
