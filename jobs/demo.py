"""The whole of sigflow in one command: render sample videos, extract, train, export, serve, ask.

Example: python jobs/demo.py --out out/demo
"""

import argparse

from sigflow.pipelines import job
from sigflow.pipelines.demo import demo


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=job.path, default="out/demo", help="folder for everything; default out/demo")


def main(args: argparse.Namespace) -> dict[str, object]:
    return demo(args.out)


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
