"""If these fail, a change of bundles needs a restart or loses requests, or clients of a busy server are not told so."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from sigflow.bundle import GRAPH, push, read_bundle, write_bundle
from sigflow.storage import Location, locate
from tests.integration.conftest import ROOT, Cluster, answers, free_port, wait_for
from tests.integration.serving import BODY, JSON, SMALL, Serving, load, of
from tests.serve.shelves import renamed

PREDICT = "/v1/models/gestures:predict"
Version = Callable[[str], Location]


@pytest.fixture(scope="module")
def version(exported_bundle: Location, tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The bundle under another version."""
    bundle, folder = read_bundle(exported_bundle), locate(tmp_path_factory.mktemp("versions"))

    def make(name: str) -> Location:
        write_bundle(folder / name, renamed(bundle, version=name).manifest, {GRAPH: bundle.graph})
        return folder / name

    return make


@pytest.fixture(scope="module")
def serving(cluster: Cluster, version: Version, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    deployed = Serving(cluster, free_port())
    deployed.deploy_by_command(tmp_path_factory.mktemp("serve") / "config.yaml", of(version("1")))
    try:
        yield deployed
    finally:
        deployed.shutdown()


def test_on_a_laptop_signals_swap_bundles_and_drain_and_a_bad_file_changes_nothing(
    cluster: Cluster, version: Version, tmp_path: Path
) -> None:
    port, settings, log = free_port(), tmp_path / "settings.yaml", tmp_path / "log"
    settings.write_text(yaml.safe_dump(of(version("1"))))
    command = [sys.executable, "-m", "serve", "--settings", str(settings), "--port", str(port), "--drain", "600"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=cluster.environment, stdout=output, stderr=output, cwd=ROOT)
    try:
        wait_for(lambda: "serving on" in log.read_text() or process.poll() is not None, seconds=200)
        there = Serving(cluster, port)
        replicas = there.processes()
        settings.write_text(yaml.safe_dump(of(version("1"), version("2"))))
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "serving what is there now" in log.read_text(), seconds=60)
        assert there.versions() == ["1", "2"]
        settings.write_text(yaml.safe_dump(of(locate(tmp_path / "none"))))
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "holds no bundle" in log.read_text(), seconds=60)
        assert there.versions() == ["1", "2"]
        assert there.processes() == replicas
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: httpx.get(f"{there.url}/readyz").status_code == 503, seconds=60)
        assert httpx.post(f"{there.url}{PREDICT}", content=BODY, headers=JSON).status_code == 200
        assert process.poll() is None, "it has to answer while load balancers learn that it stops"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert not answers(f"http://127.0.0.1:{port}/readyz")


def test_deployed_again_with_other_bundles_it_swaps_them_under_load(serving: Serving, version: Version) -> None:
    serving.deploy(of(version("1")))
    serving.wait_for_versions("1")
    replicas = serving.processes()
    with load(serving.url, clients=4) as seen:
        serving.deploy(of(version("1"), version("2")))
        serving.wait_for_versions("1", "2")
        serving.deploy(of(version("2")))
        serving.wait_for_versions("2")
    assert seen.failed == []
    assert seen.answered.keys() == {"1", "2"}
    assert serving.processes() == replicas


def test_the_clusters_status_shows_what_is_served(cluster: Cluster, serving: Serving, version: Version) -> None:
    serving.deploy(of(version("1")))
    serving.wait_for_versions("1")
    seen = cluster.job("status", "--cluster")["cluster"]["serve"]
    assert seen == {"sigflow": {"status": "RUNNING", "replicas": {"recognisers": {"RUNNING": 1}}}}


def test_a_bad_change_is_refused_shown_and_mended(serving: Serving, version: Version) -> None:
    serving.deploy(of(version("1")))
    serving.wait_for_versions("1")
    replicas, broken = serving.processes(), version("3")
    graph = (broken / GRAPH).read_bytes()
    (broken / GRAPH).write_bytes(graph + b"x")
    serving.deploy(of(broken))
    wait_for(lambda: httpx.get(f"{serving.url}/readyz").json().get("refused", False), seconds=60)
    assert serving.versions() == ["1"]
    assert serving.processes() == replicas
    (broken / GRAPH).write_bytes(graph)
    serving.deploy(of(broken, generation=1))
    serving.wait_for_versions("3")
    assert "refused" not in httpx.get(f"{serving.url}/readyz").json()


def test_what_is_not_on_the_shelf_comes_from_the_registry(
    serving: Serving, version: Version, exported_bundle: Location, tmp_path: Path
) -> None:
    registry, other = locate(tmp_path / "registry"), locate(tmp_path / "signs")
    bundle = read_bundle(exported_bundle)
    write_bundle(other, renamed(bundle, name="signs").manifest, {GRAPH: bundle.graph})
    push(other, registry)
    serving.deploy(of(version("1"), registry={"uri": registry.uri, "max_loaded": 1}))
    wait_for(lambda: "1a2b3c" in serving.versions(), seconds=60)
    answer = httpx.post(f"{serving.url}/v1/models/signs:predict", content=BODY, headers=JSON, timeout=60)
    assert (answer.json()["model"], answer.json()["version"]) == ("signs", "1a2b3c")
    assert httpx.post(f"{serving.url}/v1/models/none:predict", content=BODY, headers=JSON).status_code == 404


def flood(url: str, clients: int) -> list[httpx.Response]:
    """Asks at the same time."""
    given: list[httpx.Response] = []
    start = threading.Barrier(clients)

    def ask() -> None:
        start.wait()
        given.append(client.post(f"{url}{PREDICT}", content=BODY, headers=JSON))

    with httpx.Client(timeout=60) as client:
        threads = [threading.Thread(target=ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return given


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        pytest.param({"limits": {"waiting_clips": 1}}, {}, id="the replica has too many"),
        pytest.param({}, {"max_ongoing_requests": 1, "max_queued_requests": 1}, id="Ray has too many"),
    ],
)
def test_too_many_are_told_when_to_come_again(
    serving: Serving, version: Version, settings: dict[str, object], options: dict[str, object]
) -> None:
    serving.deploy(of(version("1"), generation=os.getpid(), **settings), SMALL | options)
    serving.wait_for_versions("1")
    wait_for(lambda: any(answer.status_code == 503 for answer in flood(serving.url, 32)), seconds=60)
    given = flood(serving.url, 32)
    assert {answer.status_code for answer in given} == {200, 503}
    for answer in given:
        if answer.status_code == 503:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["status"] == 503
