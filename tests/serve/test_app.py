"""If these fail, the deployment that the README gives does not start, or bad settings reach a replica."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ray.serve.schema import DeploymentSchema, HTTPOptionsSchema, ServeApplicationSchema, ServeDeploySchema

from serve import app
from serve.app import Recognisers, build
from serve.settings import settings_of
from sigflow.errors import UserError
from sigflow.predictor import ClipInput
from sigflow.storage import Location
from tests.integration.conftest import ROOT


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((ROOT / "serve/config.yaml").read_text())
    return values


def test_the_config_is_what_ray_and_the_application_understand(config: dict[str, Any]) -> None:
    (application,) = config["applications"]
    (deployment,) = application["deployments"]
    # Ray ignores keys that it does not know.
    for values, schema in (
        (config, ServeDeploySchema),
        (config["http_options"], HTTPOptionsSchema),
        (application, ServeApplicationSchema),
        (deployment, DeploymentSchema),
    ):
        assert values.keys() <= schema.model_fields.keys()
    ServeDeploySchema.model_validate(config)
    module, _, name = application["import_path"].partition(":")
    assert (module, getattr(app, name)) == (app.__name__, build)
    assert deployment["name"] == app.NAME == build({})._bound_deployment.name


def test_the_config_lets_the_better_answer_come_first(config: dict[str, Any]) -> None:
    (deployment,) = config["applications"][0]["deployments"]
    limits = settings_of(deployment["user_config"]).limits
    assert deployment["max_ongoing_requests"] > limits.waiting_clips
    assert limits.deadline_s < config["http_options"]["request_timeout_s"]
    assert limits.deadline_s < deployment["graceful_shutdown_timeout_s"]
    assert config["http_options"]["host"] == "127.0.0.1"


def test_what_the_config_explains_in_comments_is_allowed(config: dict[str, Any]) -> None:
    text = (ROOT / "serve/config.yaml").read_text()
    for line in (
        "share: 0.1", "shadow: true", "registry:", "  uri: s3://bucket/models", "  max_loaded: 16", "page:",
        "  folder: s3://bucket/recordings",
    ):  # fmt: skip
        assert f"# {line}" in text
        text = text.replace(f"# {line}", line)
    (deployment,) = yaml.safe_load(text)["applications"][0]["deployments"]
    settings = settings_of(deployment["user_config"])
    assert settings.registry
    assert settings.page
    assert settings.bundles[0].shadow


def test_arguments_are_the_same_settings_and_are_verified_before_a_replica_sees_them(
    exported_bundle: Location, tmp_path: Path
) -> None:
    by_words = build({"bundles": exported_bundle.uri, "precision": "fp32"})
    by_settings = build({"bundles": [{"bundle": exported_bundle.uri}]})
    assert by_words._bound_deployment.user_config == by_settings._bound_deployment.user_config
    assert settings_of(by_words._bound_deployment.user_config) == settings_of(
        {"bundles": [{"bundle": exported_bundle.uri}]}
    )
    for bad, message in (
        ({"bundles": str(tmp_path)}, "holds no bundle"),
        ({"bundles": ""}, "no bundle to serve"),
        ({"bundles": [{"bundle": "x", "weight": 1}]}, "weight"),
        ({"bundles": str(tmp_path), "precision": "int4"}, "precision"),
    ):
        with pytest.raises(UserError, match=message):
            build(bad)


def refused(replica: Recognisers) -> bool:
    return replica._shelf.refused


def test_a_running_replica_refuses_what_a_new_one_fails_of(exported_bundle: Location, tmp_path: Path) -> None:
    good = {"bundles": [{"bundle": exported_bundle.uri}]}
    bads: list[dict[str, Any]] = [{}, {"bundles": [{"bundle": str(tmp_path)}]}, {"bundels": []}]

    async def change() -> None:
        replica = Recognisers()
        for bad in bads:
            with pytest.raises(UserError):
                await replica.reconfigure(bad)
        await replica.reconfigure(good)
        assert not refused(replica)
        for bad in bads:
            await replica.reconfigure(bad)
            assert refused(replica)
            assert replica._shelf.find("gestures")
        await replica.reconfigure(good)
        assert not refused(replica)

    asyncio.run(change())


def test_a_graph_that_hangs_is_no_health(exported_bundle: Location) -> None:
    async def ask() -> None:
        replica = Recognisers()
        settings = {"bundles": [{"bundle": exported_bundle.uri}], "limits": {"stuck_s": 1e-9}}
        await replica.reconfigure(settings)
        replica.check_health()
        model = replica._shelf.find("gestures")
        clip = ClipInput({"right_hand": np.zeros((500, 21, 3), np.float32)}, np.arange(500, dtype=np.float32) / 30, 1.0)
        running = asyncio.create_task(model.batcher.answers([clip]))
        while not model.batcher.running_s:
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="a run of a graph takes"):
            replica.check_health()
        await running
        replica.check_health()

    asyncio.run(ask())
