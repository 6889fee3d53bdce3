"""What must hold of cluster/ beyond the schemas. Each check raises AssertionError with what is wrong."""

import argparse
import re
import runpy
import shlex
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
from ray.scripts.scripts import cli as ray_cli
from ray.serve.scripts import cli as serve_cli

from serve.__main__ import flags as serve_flags
from serve.access import keys
from sigflow.errors import UserError
from tests.cluster.files import CLUSTER, ROOT, VERSION

APP = "/opt/sigflow/app/"  # where the images have the checkout
STEPS, VARIANTS = ("all", "system", "packages", "code", "check"), ("serve", "cpu", "gpu")
_SECRETS = re.compile(
    r"\b[0-9a-f]{32,}\b|\bsf_[\w-]{20,}|\bAKIA[0-9A-Z]{16}\b|PRIVATE KEY|\bhf_\w{20,}|\beyJ[\w-]{20,}"
    r"|(?i:token|password|secret_key|access_key)\s*[:=]\s*['\"]?(?!\$)[\w+/-]{16,}"
)


def check_job(words: list[str]) -> None:
    """`python jobs/NAME.py FLAGS`: the job is there, and takes the flags."""
    assert words[0] == "python", f"{words[0]} is not what images have"
    file = ROOT / words[1].removeprefix(APP)
    assert file.is_file(), f"there is no {words[1]}"
    _check_flags(runpy.run_path(str(file))["flags"], words[2:])


def check_module(name: str, words: list[str]) -> None:
    """`python -m NAME FLAGS`: likewise, of those that are not jobs."""
    match name:
        case "serve":
            _check_flags(serve_flags, words)
        case "serve.access.keys":
            try:
                assert keys.main(words) == 0, f"keys {shlex.join(words)} ends with an error"
            except SystemExit as error:
                raise AssertionError(f"keys does not take {shlex.join(words)}") from error
        case _:
            raise AssertionError(f"nothing is known of {name}")


def _check_flags(flags: Callable[[argparse.ArgumentParser], None], words: list[str]) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.error = _raise  # type: ignore[method-assign,assignment]
    try:
        flags(parser)
        # Where a bucket is, Arrow would ask a network.
        parser.parse_args([word.replace("s3://", "/") for word in words])
    except (UserError, argparse.ArgumentError) as error:
        raise AssertionError(f"{shlex.join(words)}: {error}") from error


def _raise(message: str) -> None:
    raise AssertionError(message)


def check_ray(words: list[str]) -> list[str]:
    """`ray ...` or `serve ...`, by their own parsers, without doing it; gives what comes after `--`."""
    command: click.Command = {"ray": ray_cli, "serve": serve_cli}[words[0]]
    rest, entrypoint = words[1:], []
    if "--" in rest:
        rest, entrypoint = rest[: rest.index("--")], rest[rest.index("--") + 1 :]
    name = words[0]
    while isinstance(command, click.Group):
        assert rest, f"{name} lacks a command"
        found = command.commands.get(rest[0])
        assert found is not None, f"{name} has no command {rest[0]}"
        name, rest, command = f"{name} {rest[0]}", rest[1:], found
    try:
        context = command.make_context(name, [*rest, *(["--", *entrypoint] if entrypoint else [])])
    except click.ClickException as error:
        raise AssertionError(f"{shlex.join(words)}: {error.format_message()}") from error
    file = context.params.get("cluster_config_file") or context.params.get("config_file_name")
    assert file is None or (ROOT / str(file)).is_file(), f"there is no {file}"
    return entrypoint


def check_paths(words: Iterable[str]) -> None:
    """What a command names of this checkout is there."""
    for word in words:
        if re.match(r"(cluster|jobs|serve|sigflow)/\S+$", word):
            assert list(ROOT.glob(word)), f"there is no {word}"


def check_install(words: list[str]) -> None:
    """`cluster/install.sh STEP VARIANT`; a variant may be Docker's argument."""
    assert words[0] == "cluster/install.sh", words[0]
    step, variant = words[1:]
    assert step in STEPS, f"install.sh has no step {step}"
    assert variant in (*VARIANTS, "$VARIANT"), f"install.sh has no variant {variant}"


def check_dockerfile(text: str, ignore: str) -> None:
    """What it copies is there and reaches Docker, its steps are install.sh's, and nobody is root in the end."""
    kept = [line[1:] for line in ignore.splitlines() if line.startswith("!")]
    stages: dict[str, str] = {}  # by name, who they end as
    stage = ""
    for line in text.replace("\\\n", " ").splitlines():
        match line.split():
            case ["FROM", base, "AS", name]:
                assert base in stages or re.fullmatch(r"python:3\.11-slim-\w+", base), f"{base} is no stage, nor pinned"
                stage, stages[name] = name, stages.get(base, "root")
            case ["COPY", *sources, _]:
                for source in sources:
                    assert (ROOT / source).exists(), f"COPY {source}: it is not there"
                    reached = any(source == each or source.startswith(f"{each}/") for each in kept)
                    assert reached, f"COPY {source}: .dockerignore leaves it out"
            case ["RUN", *words]:
                for command in " ".join(words).split("&&"):
                    if "install.sh" in command:
                        check_install(command.split())
            case ["USER", name]:
                stages[stage] = name
            case ["ENTRYPOINT", *words]:
                module = re.search(r'"-m", "(\w+)"', " ".join(words))
                found = module is not None and (ROOT / module[1] / "__main__.py").is_file()
                assert found, f"{words} cannot be run"
    assert all(user != "root" for name, user in stages.items() if name != "base"), f"somebody is root: {stages}"


def check_image(image: str, ending: str) -> None:
    """One registry, this version, and a variant that `ending` may be."""
    assert image == f"registry.example.com/sigflow:{VERSION}-{ending}", f"{image} is not this version's {ending}"


def check_confined(pod: dict[str, Any]) -> None:
    """No root, no privileges to gain, and bounds on what it takes."""
    security = pod["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 1000), "runs as root"
    for container in pod["containers"]:
        inner = container["securityContext"]
        assert inner == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}, container["name"]
        resources = container["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys(), f"{container['name']} asks for nothing"
        assert resources["requests"]["memory"] == resources["limits"]["memory"] or container["name"] == "submitter"


def check_no_secret(name: str, text: str) -> None:
    """No token, key or password."""
    found = _SECRETS.search(text)
    assert not found, f"{name} has what looks like a secret: {found and found[0][:12]}..."


def check_probes(container: dict[str, Any], known: dict[str, set[int]]) -> None:
    """They ask paths that are answered without a token, on the ports where they are."""
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if probe in container:
            asked = container[probe]["httpGet"]
            assert asked["port"] in known.get(asked["path"], ()), f"{probe} asks {asked['path']} at {asked['port']}"


def ignored(path: Path) -> bool:
    """Whether it is no part of the repository."""
    return any(fnmatch(part, "__pycache__") for part in path.relative_to(CLUSTER).parts)
