"""If these fail, a file of cluster/ names what is not there: a flag, path, port, image or secret; or gives one away."""

import importlib
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from ray._private.runtime_env.packaging import create_package

from sigflow.pipelines.placement import KIND
from sigflow.pipelines.placement import kinds as node_types
from tests.cluster import checks
from tests.cluster.files import (
    CLUSTER,
    LAUNCHED,
    ROOT,
    VERSION,
    clusters,
    commands,
    documents,
    kinds,
    pods,
    texts,
)

README = (CLUSTER / "README.md").read_text()
# Where Ray, and this application, answer probes without a token or key.
PROBED = {"/api/healthz": {52365}, "/api/gcs_healthz": {8265}, "/readyz": {8000}, "/healthz": {8000}}


def run_of(line: str) -> None:
    """A command of a README."""
    words = shlex.split(re.sub(r"^umask \d+; | >>?\s*\S+$", "", line.strip("()")))
    checks.check_paths(words)
    match words:
        case ["kubectl" | "helm" | "sed" | "export", *_]:
            pass  # no command of this project; their files are checked above, and elsewhere
        case ["ray" | "serve", *_]:
            if entrypoint := checks.check_ray(words):
                checks.check_job(entrypoint)
        case ["python", "-m", module, *rest]:
            checks.check_module(module, rest)
        case ["python", *_]:
            checks.check_job(words)
        case ["docker", "build", *rest]:
            tag, target = rest[rest.index("-t") + 1], "node"
            if "--target" in rest:
                target = rest[rest.index("--target") + 1]
            variant = next((word.partition("=")[2] for word in rest if word.startswith("VARIANT=")), "cpu")
            checks.check_image(tag, "serve" if target == "serve" else variant)
            assert f"AS {target}\n" in (CLUSTER / "Dockerfile").read_text(), f"no target {target}"
        case ["docker", "run", *rest]:
            (image,) = (word for word in rest if word.startswith("registry.example.com/"))
            checks.check_image(image, "serve")
            checks.check_module("serve", rest[rest.index(image) + 1 :])
        case _:
            raise AssertionError(f"nothing checks {line}")


@pytest.mark.parametrize("line", commands(README))
def test_the_readmes_commands_exist_and_take_their_flags(line: str) -> None:
    run_of(line)


def test_the_readme_names_every_file_and_no_other() -> None:
    named = set(re.findall(r"`(?:kuberay/)?([\w.]+\.(?:yaml|sh)|Dockerfile)`", README))
    there = {file.name for file in CLUSTER.rglob("*") if file.is_file() and not checks.ignored(file)}
    assert named == there - {"README.md", "Dockerfile.dockerignore"}


@pytest.mark.parametrize("kind", ["extract", "train", "tune"])
def test_jobs_on_kubernetes_take_their_flags_and_run_on_the_cluster_that_is_there(kind: str) -> None:
    (job,) = (it for it in kinds("RayJob") if it["metadata"]["name"] == kind)
    checks.check_job(shlex.split(job["spec"]["entrypoint"]))
    assert f"/{kind}.py" in job["spec"]["entrypoint"]
    (cluster,) = kinds("RayCluster")
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}


@pytest.mark.parametrize("file", LAUNCHED, ids=lambda file: file.name)
def test_machines_start_ray_with_flags_that_it_has(file: Any) -> None:
    (config,) = documents(file)
    for line in config["head_start_ray_commands"] + config["worker_start_ray_commands"]:
        checks.check_ray(shlex.split(line.replace("$RAY_HEAD_IP", "10.0.0.1")))
    for key in ("initialization_commands", "setup_commands"):
        subprocess.run(["bash", "-n"], input="\n".join(config[key]), text=True, check=True)
    assert "docker.io" in config["initialization_commands"][0], "not every system image has Docker"


def test_both_clouds_start_ray_alike() -> None:
    (aws,), (gcp,) = (documents(file) for file in LAUNCHED)
    same = ("docker", "file_mounts", "initialization_commands", "setup_commands")
    for key in (*same, "head_start_ray_commands", "worker_start_ray_commands"):
        assert aws[key] == gcp[key]


def test_machines_carry_the_name_of_their_kind() -> None:
    """Otherwise an autoscaler starts machines with GPUs for an extraction that keeps off them."""
    for file in LAUNCHED:
        (config,) = documents(file)
        types = config["available_node_types"]
        assert {name: it.get("labels") for name, it in types.items() if name != config["head_node_type"]} == {
            name: {KIND: name} for name in ("cpu_worker", "gpu_worker")
        }
    (cluster,) = kinds("RayCluster")
    groups = {it["groupName"]: it["labels"] for it in cluster["spec"]["workerGroupSpecs"]}
    assert groups == {name: {KIND: name} for name in ("cpu", "gpu")}


def test_jobs_bring_their_code_and_recipes_alone(tmp_path: Path) -> None:
    """Ray ends where there are more than 100 MB, and videos in a checkout are soon more."""
    code = {"jobs/tune.py", "sigflow/recipes/lstm.py", "serve/page/index.html", "mine.json"}
    others = {
        "my_clips/ada/wave/1.mov",
        "bundles/a/fp32.onnx",
        "runs/a/fold.json",
        "README.md",
        "jobs/__pycache__/a.pyc",
    }
    for name in code | others:
        (tmp_path / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "checkout" / name).touch()
    (config,) = documents(CLUSTER / "code.yaml")
    create_package(
        str(tmp_path / "checkout"), tmp_path / "sent.zip", include_gitignore=True, excludes=config["excludes"]
    )
    with ZipFile(tmp_path / "sent.zip") as sent:
        assert {name for name in sent.namelist() if not name.endswith("/")} == code


def test_the_dockerfile_copies_what_is_there_and_ends_without_root() -> None:
    text, ignore = ((CLUSTER / name).read_text() for name in ("Dockerfile", "Dockerfile.dockerignore"))
    checks.check_dockerfile(text, ignore)
    callback = re.search(r"CALLBACK_IMPORT_PATH=([\w.]+)\.(\w+)", text)
    assert callback is not None
    assert callable(getattr(importlib.import_module(callback[1]), callback[2]))
    for line in re.findall(r"^#   (docker build .*)", text, re.MULTILINE):
        run_of(line)


def test_images_agree() -> None:
    for spec in clusters():
        groups = {"head": spec["headGroupSpec"], **{it["groupName"]: it for it in spec["workerGroupSpecs"]}}
        for name, group in groups.items():
            (container,) = group["template"]["spec"]["containers"]
            ending = {"gpu": "gpu", "cpu": "cpu", "replicas": "serve"}.get(name)
            checks.check_image(container["image"], ending or ("serve" if "replicas" in groups else "cpu"))
            assert ("nvidia.com/gpu" in container["resources"]["limits"]) == (name == "gpu")
    for job in kinds("RayJob"):
        checks.check_image(job["spec"]["submitterPodTemplate"]["spec"]["containers"][0]["image"], "cpu")
    for file in LAUNCHED:
        (config,) = documents(file)
        checks.check_image(config["docker"]["image"], "cpu")
        checks.check_image(config["available_node_types"]["gpu_worker"]["docker"]["worker_image"], "gpu")


def test_ray_is_everywhere_the_pinned_one() -> None:
    pinned = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert {spec["rayVersion"] for spec in clusters()} == {pinned[1]}


def test_everything_asks_for_a_token_that_no_file_has() -> None:
    for spec in clusters():
        assert spec["authOptions"] == {"mode": "token", "secretName": "sigflow-token"}
    for file in LAUNCHED:
        (config,) = documents(file)
        assert config["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}
        (start,) = (line for line in config["head_start_ray_commands"] if "start" in line)
        assert "--dashboard-host=127.0.0.1" in start
    assert "RAY_AUTH_MODE=token" in (CLUSTER / "Dockerfile").read_text()
    assert kinds("Secret") == []
    for name, text in texts().items():
        checks.check_no_secret(name, text)


def test_secrets_that_pods_want_are_made_by_the_readme() -> None:
    made = {
        (words[4], word.partition("=")[2].partition("=")[0])
        for words in map(shlex.split, commands(README))
        if words[:4] == ["kubectl", "create", "secret", "generic"]
        for word in words
        if word.startswith("--from-")
    }
    env = [
        it["valueFrom"]["secretKeyRef"]
        for pod in pods()
        for c in pod["containers"]
        for it in c.get("env", [])
        if "valueFrom" in it
    ]
    assert {(it["name"], it["key"]) for it in env} | {("sigflow-token", "auth_token")} <= made
    mounted = {it["secret"]["secretName"] for pod in pods() for it in pod.get("volumes", [])}
    assert mounted == {"sigflow-keys"}
    (service,) = kinds("RayService")
    (deployed,) = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"][0]["deployments"]
    paths = {it["mountPath"] for pod in pods() for c in pod["containers"] for it in c.get("volumeMounts", [])}
    assert deployed["user_config"]["access"]["keys_file"] in {f"{path}/keys" for path in paths}
    assert ("sigflow-keys", "keys") in made


def test_pods_are_confined_and_say_what_they_take() -> None:
    for pod in pods():
        checks.check_confined(pod)


def test_probes_ask_what_is_answered_without_a_token() -> None:
    for pod in pods():
        for container in pod["containers"]:
            checks.check_probes(container, PROBED)
    (service,) = kinds("RayService")
    (replicas,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    (container,) = replicas["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_ports_agree() -> None:
    """Between what listens, what may be reached, and what the README says."""
    policy = next(it for it in kinds("NetworkPolicy"))["spec"]
    reached = {port["port"] for rule in policy["ingress"] for port in rule.get("ports", [])}
    assert reached == {8265, 52365, 8000, 8080}
    (service,) = kinds("RayService")
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    assert config["http_options"]["port"] == 8000
    named = {it["name"]: it["containerPort"] for pod in pods() for c in pod["containers"] for it in c.get("ports", [])}
    assert named == {"gcs-server": 6379, "dashboard": 8265, "metrics": 8080, "serve": 8000}
    started = documents(LAUNCHED[0])[0]["head_start_ray_commands"][1]
    flags = dict(re.findall(r"--([\w-]+-port|port)=(\d+)", started))
    table = README.split("## Ports")[1].split("\n\n")[1]
    for port in (*named.values(), *flags.values(), *reached):
        assert re.search(rf"\b{port}\b", table), f"{port} is not in the README's table"
    assert int(flags["metrics-export-port"]) == named["metrics"]
    assert int(flags["dashboard-agent-listen-port"]) == 52365


def test_nothing_but_a_head_costs_when_nothing_runs() -> None:
    (cluster,) = kinds("RayCluster")
    assert {group["minReplicas"] for group in cluster["spec"]["workerGroupSpecs"]} == {0}
    for file in LAUNCHED:
        (config,) = documents(file)
        workers = {name: it for name, it in config["available_node_types"].items() if name != "head"}
        assert {it["min_workers"] for it in workers.values()} == {0}
        assert sum(it["max_workers"] for it in workers.values()) == config["max_workers"]
        assert all(
            "spot" in str(it["node_config"]).lower() or "preemptible" in str(it["node_config"])
            for it in workers.values()
        )
        assert config["available_node_types"]["head"]["resources"] == {"CPU": 0}
        assert config["idle_timeout_minutes"] <= 10


def test_one_command_names_registry_bucket_and_project_everywhere() -> None:
    (line,) = (line for line in commands(README) if line.startswith("sed "))
    pattern = shlex.split(line)[2]
    for name, text in texts().items():
        if name.endswith(".yaml"):
            done = subprocess.run(["sed", pattern], input=text, capture_output=True, text=True, check=True).stdout
            assert not re.search(r"registry\.example|my-bucket|my-project", done), name


@pytest.mark.parametrize(
    ("check", "spoilt"),
    [
        (checks.check_job, "python jobs/extracts.py --videos /x --out /y"),
        (checks.check_job, "python jobs/extract.py --videos /x --outs /y"),
        (checks.check_job, "python jobs/extract.py --videos /x"),
        (checks.check_job, "python jobs/extract.py --videos /x --out /y --parts feet"),
        (checks.check_job, "python3.12 jobs/extract.py --videos /x --out /y"),
        (checks.check_ray, "ray start --head --dashboard-prot=8265"),
        (checks.check_ray, "ray start --head --port=gcs"),
        (checks.check_ray, "ray begin"),
        (checks.check_ray, "ray up cluster/azure.yaml"),
        (checks.check_ray, "ray job submit --working-directory . -- python x.py"),
        (checks.check_paths, "kubectl apply -f cluster/kuberay/server.yaml"),
        (checks.check_install, "cluster/install.sh package cpu"),
        (checks.check_install, "cluster/install.sh packages tpu"),
        (run_of, "docker run registry.example.com/sigflow:0.1.0-serve --bundles /x"),
        (run_of, "python -m serve.access.keys old alice"),
        (run_of, "python -m serve.keys new alice"),
        (run_of, "rm -rf /"),
    ],
)
def test_commands_that_cannot_work_are_found(check: Callable[[Any], Any], spoilt: str) -> None:
    with pytest.raises(AssertionError):
        check(spoilt if check is run_of else spoilt.split())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("COPY jobs jobs", "COPY job jobs"),
        ("COPY jobs jobs", "COPY tests tests"),
        ("packages serve", "packages server"),
        ("FROM base AS node", "FROM bases AS node"),
        ("python:3.11-slim-bookworm", "python:latest"),
        ('"serve"]', '"server"]'),
        ("USER ray\nCMD", "CMD"),
    ],
)
def test_a_dockerfile_that_cannot_work_is_found(old: str, new: str) -> None:
    text, ignore = ((CLUSTER / name).read_text() for name in ("Dockerfile", "Dockerfile.dockerignore"))
    assert old in text
    with pytest.raises(AssertionError):
        checks.check_dockerfile(text.replace(old, new), ignore)


@pytest.mark.parametrize(
    "leaked",
    [
        "auth_token: 3f1c0d9a7b5e4f2d8c6a1b0e9d7f5c3a",
        "RAY_AUTH_TOKEN=Zm9vYmFyYmF6cXV4MTIz",
        "AWS_ACCESS_KEY_ID: AKIAIOSFODNN7EXAMPLE",
        "key: sf_Zm9vYmFyYmF6cXV4MTIzNDU2",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_a_secret_in_a_file_is_found(leaked: str) -> None:
    with pytest.raises(AssertionError):
        checks.check_no_secret("x", f"env:\n  {leaked}\n")


def test_pods_and_images_that_are_wrong_are_found() -> None:
    with pytest.raises(AssertionError):
        checks.check_image(f"registry.example.com/sigflow:{VERSION}9-cpu", "cpu")
    spoils: tuple[Callable[[Any], object], ...] = (
        lambda pod: pod["securityContext"].update(runAsUser=0),
        lambda pod: pod["containers"][0]["securityContext"].update(allowPrivilegeEscalation=True),
        lambda pod: pod["containers"][0]["resources"]["requests"].pop("memory"),
    )
    for spoil in spoils:
        pod = pods()[0]
        spoil(pod)
        with pytest.raises(AssertionError):
            checks.check_confined(pod)
    container = pods()[0]["containers"][0]
    container["livenessProbe"]["httpGet"]["port"] = 8265
    with pytest.raises(AssertionError):
        checks.check_probes(container, PROBED)


def test_jobs_on_kubernetes_know_what_could_come() -> None:
    (spec,) = (it["spec"] for it in kinds("RayCluster"))
    (head,) = spec["headGroupSpec"]["template"]["spec"]["containers"]
    said = {it.name: it for it in node_types({it["name"]: it["value"] for it in head["env"]}, CLUSTER / "none")}
    assert set(said) == {group["groupName"] for group in spec["workerGroupSpecs"]}
    for group in spec["workerGroupSpecs"]:
        (container,) = group["template"]["spec"]["containers"]
        limits = container["resources"]["limits"]
        kind = said[group["groupName"]]
        assert kind.count == group["maxReplicas"]
        assert kind.resources["CPU"] == float(limits["cpu"])
        assert kind.resources["memory"] == float(limits["memory"].removesuffix("Gi")) * 2**30
        assert kind.resources.get("GPU", 0) == float(limits.get("nvidia.com/gpu", 0))
