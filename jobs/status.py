"""Say on one screen what a long job is doing: by what it has written, and by what the cluster says.

Examples: python jobs/status.py --out landmarks --videos my_clips
          python jobs/status.py --out runs/first tuned --cluster
Nothing is changed, and a job that was killed shows how far it came. --cluster asks the one that RAY_ADDRESS names: its
nodes, what is used and waited for, and which of that fits on no node; jobs; what Ray Serve serves.
"""

import argparse

from sigflow.pipelines import job
from sigflow.pipelines.status import status


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", nargs="+", default=[], type=job.path, metavar="DIR", help="the --out of extract, train, tune, ensemble"
    )
    parser.add_argument("--videos", type=job.path, help="what is extracted from: says how many clips are to go")
    parser.add_argument("--cluster", action="store_true", help="ask the cluster too")


def main(args: argparse.Namespace) -> dict[str, object]:
    return status(args.out, videos=args.videos, cluster=args.cluster)


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
