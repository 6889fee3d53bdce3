"""Serve bundles until stopped; on SIGHUP look at them, or at the settings file, again.

Ctrl-C stops at once. On SIGTERM /readyz answers 503 for --drain seconds first: requests are answered meanwhile, and
load balancers stop sending more.

Example: python -m serve --bundle bundles/gestures --port 8000
         python -m serve --page recordings       # no bundle yet: record clips in a browser and train on them
"""

import argparse
import os
import queue
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import ray
import yaml
from ray import serve

from serve.access.guard import refuse_open
from serve.access.keys import ENVIRONMENT
from serve.settings import Access, Served, Settings, settings_of, verify
from sigflow.bundle import PRECISIONS
from sigflow.errors import UserError
from sigflow.pipelines import job
from sigflow.pipelines.placement import reach, refuse_impossible
from sigflow.storage import Location, locate

_LOGGING = {"enable_access_log": False}  # Ray's own, beside `serve.telemetry.access_log`: each line costs its time
_EDGE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"


def flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("--bundle", nargs="+", type=job.path, default=[], help="one or more bundles")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="the graph to load; default fp32")
    parser.add_argument("--registry", type=job.path, help="a registry: its bundles are loaded when they are asked for")
    parser.add_argument(
        "--settings", type=job.path, help="instead of these: a YAML file like user_config in config.yaml"
    )
    parser.add_argument(
        "--page", type=job.path, nargs="?", const=True, metavar="DIR",
        help="also a page at / to try what is served; with DIR to record clips into it and train on them",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default this machine alone")
    parser.add_argument("--port", type=job.positive(int), default=8000)
    parser.add_argument("--replicas", type=_replicas, default=(1, 1), help="N, or MIN-MAX by load; default 1")
    parser.add_argument("--keys", type=job.path, help="file of API keys (python -m serve.access.keys new NAME >> FILE)")
    parser.add_argument(
        "--drain",
        type=_drain,
        default=5.0,
        metavar="SECONDS",
        help="between SIGTERM and the end; default 5, 0: at once",
    )
    parser.add_argument("--open", action="store_true", help="without keys too, answer other machines")


def main(args: argparse.Namespace) -> dict[str, object]:
    """Start, say where, and wait for SIGINT or SIGTERM.

    Raises:
        UserError: bad settings, a bad bundle, a port in use, or a Serve that runs on this cluster already.
    """
    asked: queue.SimpleQueue[int] = queue.SimpleQueue()
    _listen(asked)
    settings = _settings(args, 0)
    os.environ.setdefault(_EDGE, "serve.edge.middlewares")  # of a cluster that starts here
    _refuse_port_in_use(args.host, args.port)
    job.connect()
    _listen(asked)  # again: Ray takes SIGTERM for itself
    _refuse_second_serve()
    if settings.page and settings.page.folder:
        job.refuse_unshared(locate(settings.page.folder))
    try:
        _start(settings, args)
        print(f"serving on http://{args.host}:{args.port} (docs at /docs); Ctrl-C stops", file=sys.stderr, flush=True)
        generation = 0
        while (told := asked.get()) == signal.SIGHUP:
            generation += 1
            try:
                _deploy(_settings(args, generation), args.replicas)
                print("serving what is there now", file=sys.stderr, flush=True)
            except UserError as error:
                print(f"refused, serving as before: {error}", file=sys.stderr, flush=True)
        if told == signal.SIGTERM:
            print(f"stopping in {args.drain:g} s, /readyz says so; Ctrl-C stops now", file=sys.stderr, flush=True)
            _deploy(settings.model_copy(update={"draining": True}), args.replicas)
            with suppress(queue.Empty):
                asked.get(timeout=args.drain)
    finally:
        serve.shutdown()
    return {"stopped": True}


def _listen(asked: queue.SimpleQueue[int]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: asked.put(number))


def _settings(args: argparse.Namespace, generation: int) -> Settings:
    """What the flags say, and the files behind them now."""
    # Replicas on a cluster have its environment, not this one.
    keys = tuple(filter(None, os.environ.get(ENVIRONMENT, "").split(";")))
    if args.settings:
        if args.bundle or args.registry or args.keys or args.open:
            raise UserError("--settings says it all itself; leave out --bundle, --registry, --keys and --open")
        settings = settings_of(_with_page(_read_yaml(args.settings), args.page))
        access = settings.access.model_copy(update={"keys": (*settings.access.keys, *keys)})
    else:
        bundles = tuple(Served(bundle=it.uri, precision=args.precision) for it in args.bundle)
        registry = {"uri": args.registry.uri, "precision": args.precision} if args.registry else None
        settings = settings_of(_with_page({"bundles": bundles, "registry": registry}, args.page))
        access = Access(keys_file=args.keys.uri if args.keys else None, keys=keys, open=args.open)
    refuse_open(access, args.host, os.environ)
    verify(settings)
    return settings.model_copy(update={"generation": generation, "access": access})


def _with_page(values: dict[str, Any], asked: Location | bool | None) -> dict[str, Any]:
    """`--page` alone is True."""
    if not asked:
        return values
    folder = {"folder": asked.uri} if isinstance(asked, Location) else {}
    return values | {"page": (values.get("page") or {}) | folder}


def _read_yaml(file: Location) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"cannot read {file}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"{file} holds no settings; write 'bundles:' and what is under user_config in config.yaml")
    return values


def _start(settings: Settings, args: argparse.Namespace) -> None:
    """Ray's proxy and the first replica side by side: `serve.start` ends only when the one is there."""
    with ThreadPoolExecutor(1) as side:
        listens = side.submit(serve.start, http_options={"host": args.host, "port": args.port, "request_timeout_s": 30})
        while not (listens.done() or _serve_runs()):
            time.sleep(0.02)
        if not (listens.done() and listens.exception()):
            _deploy(settings, args.replicas)
        listens.result()


def _deploy(settings: Settings, replicas: tuple[int, int]) -> None:
    from serve.app import deployment, replica_cpus  # here: what a replica needs is read while Ray's controller starts

    least, most = replicas
    refuse_impossible(reach(), {"CPU": replica_cpus(settings)}, least, f"--replicas {least}")
    scale: dict[str, Any] = {"num_replicas": least}
    if most > least:
        scale = {"autoscaling_config": {"min_replicas": least, "max_replicas": most, "target_ongoing_requests": 16}}
    serve.run(deployment(settings, **scale), name="sigflow", route_prefix="/", logging_config=_LOGGING)


def _drain(text: str) -> float:
    """As `job.positive`, and 0: at once."""
    return 0.0 if text == "0" else min(job.positive(float)(text), threading.TIMEOUT_MAX)


def _replicas(text: str) -> tuple[int, int]:
    least, _, most = text.partition("-")
    first = job.positive(int)(least)
    return first, max(first, job.positive(int)(most)) if most else first


def _refuse_port_in_use(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from error


def _refuse_second_serve() -> None:
    """A cluster has one Serve: starting another would give it our port and our bundles, and stopping would end it."""
    if _serve_runs():
        raise UserError(
            "Ray Serve runs on this cluster already; deploy to it with `serve deploy`, or unset RAY_ADDRESS"
        )


def _serve_runs() -> bool:
    try:
        ray.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve")
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
