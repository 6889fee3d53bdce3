"""The application of serve/config.yaml on the test cluster: deployed, changed, asked, and watched by Ray's REST API."""

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import yaml

from sigflow.storage import Location
from tests.integration.conftest import ROOT, Cluster, answers, free_port, wait_for

FRAME = np.linspace(0.1, 0.9, 63).reshape(21, 3).tolist()
BODY = json.dumps({"landmarks": {"right_hand": [FRAME] * 30}, "fps": 30}).encode()
JSON = {"content-type": "application/json"}
SMALL = {"num_replicas": 1, "ray_actor_options": {"num_cpus": 0.5}}  # for machines of few cores


@dataclass(frozen=True)
class Serving:
    """Where it answers."""

    cluster: Cluster
    port: int
    proxies: str = "EveryNode"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def config(self, settings: Mapping[str, Any], options: Mapping[str, Any] = SMALL) -> dict[str, Any]:
        """serve/config.yaml with changes. `options` of the deployment replace its autoscaling."""
        config: dict[str, Any] = yaml.safe_load((ROOT / "serve/config.yaml").read_text())
        config["http_options"]["port"] = self.port
        config["proxy_location"] = self.proxies
        (deployed,) = config["applications"][0]["deployments"]
        del deployed["autoscaling_config"]
        deployed |= options
        deployed["user_config"] |= settings
        return config

    def deploy(self, settings: Mapping[str, Any], options: Mapping[str, Any] = SMALL) -> None:
        """What `serve deploy` does, without the seconds that it takes to start."""
        self._api("PUT", self.config(settings, options))

    def deploy_by_command(self, file: Path, settings: Mapping[str, Any]) -> None:
        """`serve deploy`, as in the README."""
        file.write_text(yaml.safe_dump(self.config(settings)))
        done = self.cluster.run("serve", "deploy", file, RAY_DASHBOARD_ADDRESS=self.cluster.dashboard)
        assert done.returncode == 0, done.stdout + done.stderr
        self.wait_until_running()

    def wait_until_running(self, replicas: int = 1) -> None:
        wait_for(
            lambda: self.status() == "RUNNING" and len(self.processes()) == replicas and answers(f"{self.url}/readyz"),
            seconds=240,
        )

    def wait_for_versions(self, *versions: str) -> None:
        """Until every replica has these."""
        wait_for(lambda: all(self.versions() == list(versions) for _ in range(8)), seconds=120)

    def versions(self) -> list[str]:
        return [model["version"] for model in httpx.get(f"{self.url}/v1/models").json()["models"]]

    def status(self) -> str:
        return str(self._application().get("status"))

    def message(self) -> str:
        """What `serve status` says of the deployment."""
        return str(self._application()["deployments"]["recognisers"]["message"])

    def processes(self) -> list[int]:
        """Of the replicas that take requests."""
        replicas = self._application().get("deployments", {}).get("recognisers", {}).get("replicas", [])
        return sorted(replica["pid"] for replica in replicas if replica["state"] == "RUNNING")

    def shutdown(self) -> None:
        self._api("DELETE")
        wait_for(lambda: not answers(f"{self.url}/-/healthz"), seconds=120)

    def _application(self) -> dict[str, Any]:
        return dict(self._api("GET").get("applications", {}).get("sigflow", {}))

    def _api(self, method: str, body: object = None) -> dict[str, Any]:
        token = Path(self.cluster.environment["RAY_AUTH_TOKEN_PATH"]).read_text()
        request = urllib.request.Request(
            f"{self.cluster.dashboard}/api/serve/applications/", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", **JSON},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=240) as answer:
            return dict(json.loads(answer.read() or b"{}"))


@dataclass
class Load:
    """What clients saw."""

    answered: Counter[str] = field(default_factory=Counter)  # by version
    failed: list[str] = field(default_factory=list)
    longest_s: float = 0.0


@contextmanager
def load(url: str, *, clients: int = 16) -> Iterator[Load]:
    """So many clients, each with one request after the other, as long as the block lasts."""
    seen, stop = Load(), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            began = time.monotonic()
            try:
                answer = client.post(f"{url}/v1/models/gestures:predict", content=BODY, headers=JSON)
            except httpx.HTTPError as error:
                seen.failed.append(repr(error))
                continue
            if answer.status_code == 200:
                seen.answered[answer.json()["version"]] += 1
            else:
                seen.failed.append(f"{answer.status_code} {answer.text[:200]}")
            seen.longest_s = max(seen.longest_s, time.monotonic() - began)

    with httpx.Client(timeout=60) as client:
        threads = [threading.Thread(target=ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: seen.answered.total() > clients or len(seen.failed) > clients, seconds=120)
            yield seen
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def of(*bundles: Location, **more: Any) -> dict[str, Any]:
    """Settings that serve these."""
    return {"bundles": [{"bundle": bundle.uri} for bundle in bundles], **more}


@contextmanager
def page_server(cluster: Cluster, log: Path, *words: str | Path) -> Iterator[Serving]:
    """`python -m serve` with a page, as a person starts it."""
    port = free_port()
    command = [sys.executable, "-m", "serve", "--port", str(port), *map(str, words)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=cluster.environment, stdout=output, stderr=output)
    serving = Serving(cluster, port)
    try:
        wait_for(lambda: process.poll() is not None or answers(f"{serving.url}/readyz"), seconds=200)
        assert process.poll() is None, log.read_text()
        yield serving
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
