"""What every job shares: flags in, one JSON line out, bad input as one line and exit 2, a cluster to run on."""

import argparse
import contextlib
import json
import logging
import os
import re
import sys
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sigflow.errors import UserError
from sigflow.storage import TEMPORARY, Location, is_unreachable, locate

Number = TypeVar("Number", int, float)
_GO_ON = "run the same command again to go on (train, tune: with --resume)"


def run(
    description: str,
    add_flags: Callable[[argparse.ArgumentParser], None],
    main: Callable[[argparse.Namespace], Any],
) -> NoReturn:
    """Parse, call `main`, print what it returns as the last line of stdout; exit 0, or 2 with one line on stderr."""
    summary, _, details = description.partition("\n")
    parser = _Parser(description=summary, epilog=details.strip(), formatter_class=argparse.RawDescriptionHelpFormatter)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        add_flags(parser)
        answer = main(parser.parse_args())
    except UserError as error:
        disconnect()
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if not is_unreachable(error):
            raise
        disconnect()
        last = str(error).strip().splitlines()[-1]  # after what Ray says of its tasks
        print(f"error: object storage does not answer: {last}; {_GO_ON}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        disconnect()
        print(f"stopped; {_GO_ON}", file=sys.stderr)
        sys.exit(130)
    disconnect()  # before the answer, so that no worker's words come after it
    print(json.dumps(answer), flush=True)
    sys.exit(0)


class _Parser(argparse.ArgumentParser):
    """argparse, with its complaints as one line and no usage before them."""

    def error(self, message: str) -> NoReturn:
        """Called by argparse for unknown or missing flags."""
        raise UserError(f"{message}; see --help")


def path(text: str) -> Location:
    """A flag's path. Inside a submitted job a relative one would name Ray's temporary copy of the working directory."""
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ and "://" not in text and not Path(text).expanduser().is_absolute():
        raise UserError(
            f"'{text}' is relative, and this job runs in a temporary copy of your folder; use an absolute path or s3://"
        )
    place = locate(text)
    if not place.is_local:
        _refuse_unreachable(place)
    return place


def _refuse_unreachable(place: Location) -> None:
    """At once: later a job waits for storage, for as long as one that is away for a while may take to come back."""
    try:
        locate(place.uri, patient=False).exists()
    except OSError as error:
        raise UserError(
            f"cannot reach {place}: {error}; check the name, the credentials and AWS_ENDPOINT_URL, or try again later"
        ) from error


def connect() -> None:
    """Join the cluster that RAY_ADDRESS names (Ray sets it in submitted jobs); without it start one for this job alone.

    Never another that happens to run here: it may be some other job's own, with another token, and end with it.
    """
    if ray.is_initialized():
        return
    # Ray listens on all interfaces, but protects a new cluster by a token of its own making: good, and no news.
    logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    address = os.environ.get("RAY_ADDRESS")
    print("starting Ray" if not address else f"joining Ray at {address}", file=sys.stderr, flush=True)
    if not address:
        ray.init(address="local", include_dashboard=False, **quiet)
        return
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"cannot join the Ray cluster at RAY_ADDRESS={address}: {error}; start it, or unset RAY_ADDRESS, or if it "
            "asks for a token: export RAY_AUTH_MODE=token, and have its token in ~/.ray/auth_token"
        ) from error


def refuse_unshared(place: Location) -> None:
    """Refuse a local folder that not every node sees: rows written there would be lost with their nodes.

    Raises:
        UserError: some node does not see what is written to `place` here.
    """
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    if not place.is_local or len(nodes) < 2:
        return
    probe = place / f"{TEMPORARY}probe-{uuid.uuid4().hex}"
    probe.write_text("")
    try:
        seen = ray.get(
            [
                ray.remote(Location.exists)
                .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True))
                .remote(probe)
                for node in nodes
            ]
        )
    finally:
        probe.delete()
    if not all(seen):
        blind = f"{seen.count(False)} of {len(nodes)} nodes"
        raise UserError(f"{place} is local, and {blind} do not see it; use s3:// or a shared folder")


def disconnect() -> None:
    """Leave the cluster; one that `connect` started ends."""
    with contextlib.suppress(Exception):
        ray.shutdown()


def names(known: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    """A flag's type: some of the known names, separated by commas."""
    allowed = tuple(known)

    def parse(text: str) -> tuple[str, ...]:
        given = tuple(dict.fromkeys(name for name in text.split(",") if name))
        if not given or set(given) - set(allowed):
            raise UserError(f"'{text}' is not of {', '.join(allowed)}; separate names by commas")
        return given

    return parse


def positive(kind: type[Number]) -> Callable[[str], Number]:
    """A flag's type: a number above 0."""

    def parse(text: str) -> Number:
        try:
            number = kind(text)
        except ValueError:
            number = kind(0)
        if not number > 0:
            raise UserError(f"'{text}' is not a number above 0")
        return number

    return parse


def name(text: str) -> str:
    """A flag's type: a name that can stand in a URL."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise UserError(f"'{text}' cannot stand in a URL; use letters, digits, '.', '_' and '-'")
    return text
