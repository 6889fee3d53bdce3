"""Serve bundles until stopped.

Example: python -m serve --bundle bundles/gestures --port 8000
"""

import argparse
import signal
import sys
import threading

from ray import serve

from serve.app import deployment
from sigflow.pipelines import job


def flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("--bundle", required=True, nargs="+", type=job.path, help="one or more bundles")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default this machine alone")
    parser.add_argument("--port", type=job.positive(int), default=8000)


def main(args: argparse.Namespace) -> dict[str, object]:
    """Start, say where, and wait for SIGINT or SIGTERM."""
    application = deployment([bundle.uri for bundle in args.bundle])
    job.connect()
    serve.start(http_options={"host": args.host, "port": args.port})
    serve.run(application, name="sigflow", route_prefix="/")
    print(
        f"serving on http://{args.host}:{args.port} (docs at /docs); Ctrl-C stops",
        file=sys.stderr,
        flush=True,
    )
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    serve.shutdown()
    return {"stopped": True}


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
