"""List all runs of a folder, compare some, draw them.

Example: python jobs/runs.py --runs runs --sort score --plot runs.png
--compare first second: settings that differ, all figures, and whether the difference to the first could be chance.
"""

import argparse

from sigflow.pipelines import job
from sigflow.pipelines.runs import SORTS, show_runs


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", required=True, type=job.path, help="the folder above the --out of jobs/train.py")
    parser.add_argument("--sort", choices=SORTS, default="finished", help="the best or the first on top")
    parser.add_argument("--recipe", help="only runs of this recipe")
    parser.add_argument(
        "--compare", nargs="+", default=[], metavar="RUN", help="names of runs, the first is compared to"
    )
    parser.add_argument("--plot", type=job.path, metavar="FILE.png", help="scores and gaps of the listed runs")


def main(args: argparse.Namespace) -> dict[str, object]:
    return show_runs(args.runs, sort=args.sort, recipe=args.recipe, compared=args.compare, plot=args.plot)


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
