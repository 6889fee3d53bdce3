"""If these fail, `ray up` or `kubectl apply` refuses a file of cluster/, or drops a part of it without a word."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import DeploymentSchema, ServeDeploySchema

from serve.settings import settings_of
from sigflow.errors import UserError
from tests.cluster.files import CRDS, KUBERAY, LAUNCHED, ROOT, Document, crd, documents, kinds

Spoil = Callable[[Any], object]
OWN_KINDS = "v1", "apps/v1", "networking.k8s.io/v1", "policy/v1"
with_crds = pytest.mark.skipif(not CRDS.is_dir(), reason="KubeRay's definitions are not beside the repository")


def launch(config: Document) -> Document:
    """As `ray up` does before it talks to a cloud."""
    ready: Document = prepare_config(copy.deepcopy(config))
    validate_config(ready)
    return ready


def kubernetes(document: Document) -> None:
    """Against the schemas of Kubernetes itself; whatever they do not name is an error."""
    kubernetes_validate.validate(document, "1.32", strict=True)


def serving(service: Document) -> None:
    """What the operator sends to Serve's REST, and what a replica is told."""
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    ServeDeploySchema.model_validate(config)
    for application in config["applications"]:
        for deployed in application["deployments"]:
            if unknown := deployed.keys() - DeploymentSchema.model_fields:  # Ray drops them
                raise ValueError(f"no options of a deployment: {unknown}")
            AutoscalingConfig.model_validate(deployed["autoscaling_config"])
            settings_of(deployed["user_config"])


@pytest.mark.parametrize("file", LAUNCHED, ids=lambda file: file.name)
def test_ray_up_takes_the_file(file: Path) -> None:
    (config,) = documents(file)
    ready = launch(config)
    assert ready["head_node_type"] == "head"
    # Nothing of Ray's example is left over in it: its commands would install another Ray.
    assert ready["setup_commands"] == config["setup_commands"]
    assert ready["head_start_ray_commands"] == config["head_start_ray_commands"]


@pytest.mark.parametrize("file", KUBERAY, ids=lambda file: file.name)
def test_kubernetes_takes_its_own_kinds(file: Path) -> None:
    for document in documents(file):
        if document["apiVersion"] in OWN_KINDS:
            kubernetes(document)
        else:
            assert document["apiVersion"] == "ray.io/v1"


@with_crds
@pytest.mark.parametrize("file", KUBERAY, ids=lambda file: file.name)
def test_kuberay_takes_its_kinds(file: Path) -> None:
    for document in documents(file):
        if document["apiVersion"] == "ray.io/v1":
            crd(document["kind"]).validate(document)


def test_pods_are_pods() -> None:
    """KubeRay's definitions know pods too, but are not always there."""
    for document in kinds("RayCluster", "RayService"):
        spec = document["spec"].get("rayClusterConfig", document["spec"])
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
            kubernetes(
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": group["template"]["spec"]}
            )


def test_serve_takes_the_service() -> None:
    (service,) = kinds("RayService")
    serving(service)


def test_the_service_differs_from_the_production_config_only_in_its_places() -> None:
    """Options were measured and explained in serve/config.yaml: two truths would drift apart."""
    (service,) = kinds("RayService")
    there = yaml.safe_load(service["spec"]["serveConfigV2"])
    here = yaml.safe_load((ROOT / "serve/config.yaml").read_text())
    for config in (there, here):
        del config["http_options"]["host"]
        (deployed,) = config["applications"][0]["deployments"]
        deployed.pop("max_replicas_per_node", None)
        for place in ("bundles", "registry", "access"):
            deployed["user_config"].pop(place, None)
    assert there == here


def put(*path: Any, value: Any) -> Spoil:
    def spoil(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        put("idle_timeout", value=5),
        put("max_workers", value="many"),
        put("head_node_type", value="heads"),
        put("available_node_types", "gpu_worker", "min_worker", value=0),
        put("available_node_types", "gpu_worker", "docker", "image", value="x"),
        put("docker", "user", value="ray"),
        put("available_node_types", "cpu_worker", "min_workers", value=100),
    ],
)
@pytest.mark.parametrize("file", LAUNCHED, ids=lambda file: file.name)
def test_what_ray_up_would_refuse_is_found(file: Path, spoil: Spoil) -> None:
    (config,) = documents(file)
    spoil(config)
    with pytest.raises((jsonschema.ValidationError, ValueError)):
        launch(config)


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("NetworkPolicy", put("spec", "ingres", value=[])),
        ("NetworkPolicy", put("spec", "ingress", 0, "ports", value=[{"port": 1, "proto": "TCP"}])),
        ("PodDisruptionBudget", put("spec", "minAvailable", value=[1])),
        ("ServiceAccount", put("automount", value=False)),
    ],
)
def test_what_kubernetes_would_refuse_or_drop_is_found(kind: str, spoil: Spoil) -> None:
    (document,) = kinds(kind)
    spoil(document)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes(document)


@with_crds
@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("RayCluster", put("spec", "authOption", value={"mode": "token"})),
        ("RayCluster", put("spec", "authOptions", "mode", value="tokens")),
        ("RayCluster", put("spec", "workerGroupSpecs", 0, "minReplica", value=0)),
        ("RayCluster", put("spec", "headGroupSpec", "template", "spec", "containers", 0, "livenesProbe", value={})),
        ("RayCluster", put("spec", "headGroupSpec", "rayStartParams", "num-cpus", value=0)),
        ("RayJob", put("spec", "entryPoint", value="python x.py")),
        ("RayJob", put("spec", "submissionMode", value=1)),
        ("RayService", put("spec", "serveConfig", value="")),
        ("RayService", put("spec", "rayClusterConfig", "autoscalerOptions", "version", value="v3")),
    ],
)
def test_what_kuberay_would_refuse_or_drop_is_found(kind: str, spoil: Spoil) -> None:
    document = kinds(kind)[0]
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        crd(kind).validate(document)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_ongoing_requests", "max_ongoing_request"),
        ("deadline_s: 10", "deadline_s: soon"),
        ("waiting_clips", "waiting_clip"),
        ("max_loaded: 16", "max_loaded: 0"),
        ("min_replicas: 2", "min_replicas: 9"),
    ],
)
def test_what_serve_would_refuse_is_found(old: str, new: str) -> None:
    (service,) = kinds("RayService")
    assert old in service["spec"]["serveConfigV2"]
    service["spec"]["serveConfigV2"] = service["spec"]["serveConfigV2"].replace(old, new)
    with pytest.raises((UserError, ValueError)):
        serving(service)
