"""What every job shares: flags in, one JSON line out, bad input as one line and exit 2, a cluster to run on."""

import argparse
import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import ray

from sigflow.errors import UserError
from sigflow.storage import Location, locate

Number = TypeVar("Number", int, float)


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
    except KeyboardInterrupt:
        disconnect()
        print("stopped; run the same command again to go on", file=sys.stderr)
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
    return locate(text)


def connect() -> None:
    """Join the cluster that RAY_ADDRESS names or this machine runs; with none, start one here, on loopback alone."""
    if ray.is_initialized():
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError:
        if os.environ.get("RAY_ADDRESS"):
            raise UserError(
                f"no Ray cluster answers at RAY_ADDRESS={os.environ['RAY_ADDRESS']}; start it, or unset the variable"
            ) from None
        ray.init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)


def disconnect() -> None:
    """Leave the cluster; one that `connect` started ends."""
    with contextlib.suppress(Exception):
        ray.shutdown()


def cluster_cpus() -> int:
    """CPUs of the cluster as it is now, at least 1."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


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
