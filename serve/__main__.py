"""Serve bundles until stopped.

Example: python -m serve --bundle bundles/gestures --port 8000
"""

import argparse
import os
import signal
import socket
import sys
import threading

import ray
from ray import serve

from serve.app import deployment
from serve.guard import refuse_open
from serve.keys import ENVIRONMENT
from serve.settings import Access, Served, Settings
from sigflow.bundle import PRECISIONS
from sigflow.errors import UserError
from sigflow.pipelines import job


def flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("--bundle", required=True, nargs="+", type=job.path, help="one or more bundles")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="the graph to load; default fp32")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default this machine alone")
    parser.add_argument("--port", type=job.positive(int), default=8000)
    parser.add_argument("--keys", type=job.path, help="file of API keys (python -m serve.keys new NAME >> FILE)")
    parser.add_argument("--open", action="store_true", help="without keys too, answer other machines")


def main(args: argparse.Namespace) -> dict[str, object]:
    """Start, say where, and wait for SIGINT or SIGTERM.

    Raises:
        UserError: a bad bundle, a port in use, or a Serve that runs on this cluster already.
    """
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    # Replicas on a cluster have its environment, not this one.
    keys = tuple(filter(None, os.environ.get(ENVIRONMENT, "").split(";")))
    access = Access(keys_file=args.keys.uri if args.keys else None, keys=keys, open=args.open)
    refuse_open(access, args.host, os.environ)
    served = tuple(Served(bundle=it.uri, precision=args.precision) for it in args.bundle)
    settings = Settings(bundles=served, access=access)
    application = deployment(settings)
    _refuse_port_in_use(args.host, args.port)
    job.connect()
    _refuse_second_serve()
    try:
        serve.start(http_options={"host": args.host, "port": args.port})
        serve.run(application, name="sigflow", route_prefix="/")
        print(f"serving on http://{args.host}:{args.port} (docs at /docs); Ctrl-C stops", file=sys.stderr, flush=True)
        stopped.wait()
    finally:
        serve.shutdown()
    return {"stopped": True}


def _refuse_port_in_use(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from error


def _refuse_second_serve() -> None:
    """A cluster has one Serve: starting another would give it our port and our bundles, and stopping would end it."""
    try:
        ray.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve")
    except ValueError:
        return
    raise UserError("Ray Serve runs on this cluster already; deploy to it with `serve deploy`, or unset RAY_ADDRESS")


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
