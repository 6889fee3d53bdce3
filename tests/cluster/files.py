"""What stands in cluster/, read for the tests, and the schemas that it has to keep."""

import os
import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
KUBERAY = sorted((CLUSTER / "kuberay").glob("*.yaml"))
LAUNCHED = (CLUSTER / "aws.yaml", CLUSTER / "gcp.yaml")
CRDS = Path(os.environ.get("KUBERAY_CRDS", ROOT.parent / "shared" / "kuberay-crds"))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

Document = dict[str, Any]


def documents(file: Path) -> list[Document]:
    """All of a file; each a copy of its own, so that a test may spoil it."""
    return [deepcopy(each) for each in _read(file)]


@cache
def _read(file: Path) -> list[Document]:
    return list(yaml.load_all(file.read_text(), yaml.CSafeLoader))


def kinds(*wanted: str) -> list[Document]:
    """Of all files for Kubernetes; those whose `kind` is among the wanted ones."""
    return [each for file in KUBERAY for each in documents(file) if each["kind"] in wanted]


def clusters() -> list[Document]:
    """What KubeRay makes clusters of."""
    return [it["spec"] for it in kinds("RayCluster")] + [it["spec"]["rayClusterConfig"] for it in kinds("RayService")]


def pods() -> list[Document]:
    """The pods' specs, of all groups, and those that submit."""
    groups = [group for it in clusters() for group in (it["headGroupSpec"], *it["workerGroupSpecs"])]
    return [it["template"]["spec"] for it in groups] + [
        it["spec"]["submitterPodTemplate"]["spec"] for it in kinds("RayJob")
    ]


def texts() -> dict[str, str]:
    """Every file of the folder, by name."""
    return {str(file.relative_to(CLUSTER)): file.read_text() for file in sorted(CLUSTER.rglob("*")) if file.is_file()}


def commands(text: str) -> list[str]:
    """The commands of a README's bash blocks, each on one line, without comments."""
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    lines = (re.sub(r"(^|\s)#.*", "", line).strip().rstrip("&").strip() for line in blocks.splitlines())
    return [line for line in lines if line]


@cache
def crd(kind: str) -> jsonschema.Draft202012Validator:
    """KubeRay's own schema of a kind. Kubernetes drops what it does not know; here that is an error."""
    definition = yaml.load((CRDS / f"ray.io_{kind.lower()}s.yaml").read_text(), yaml.CSafeLoader)
    (schema,) = (it["schema"]["openAPIV3Schema"] for it in definition["spec"]["versions"] if it["name"] == "v1")
    schema["properties"]["metadata"] = {}  # Kubernetes' own, which the definition leaves out
    for each in _objects(schema):
        if "properties" in each and not each.get("x-kubernetes-preserve-unknown-fields"):
            each.setdefault("additionalProperties", False)
    return jsonschema.Draft202012Validator(schema)


def _objects(schema: Any) -> Iterator[Document]:
    match schema:
        case dict():
            yield schema
            for value in schema.values():
                yield from _objects(value)
        case list():
            for value in schema:
                yield from _objects(value)
