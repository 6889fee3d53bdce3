"""Play recorded landmarks through a bundle's stream: each sign once? how late? how many false alarms per hour?

Example: python jobs/replay.py --bundle bundles/gestures --data landmarks --out out/replay --gap-s 1
Clips in a random order with rests between them, in which nothing is detected. Every sign is found once, or told twice,
missed or wrong. Labels that mean nothing (ADL, -, none, ...: `stream.ignored` in the manifest) are no signs: what is
told there is a false alarm. OUT gets events.parquet and replay.json.
"""

import argparse

from sigflow.bundle import PRECISIONS
from sigflow.pipelines import job
from sigflow.pipelines.replay import replay


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", required=True, type=job.path, help="the --out of jobs/ensemble.py")
    parser.add_argument("--data", required=True, type=job.path, help="labelled landmarks, the --out of jobs/extract.py")
    parser.add_argument("--out", required=True, type=job.path, help="where events and figures are written")
    parser.add_argument("--gap-s", type=job.positive(float), default=1.0, help="rest before each clip; default 1")
    parser.add_argument("--subjects", default="", help="of these alone, separated by commas; default all")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of --bundle; default fp32")


def main(args: argparse.Namespace) -> dict[str, object]:
    subjects = [name for name in args.subjects.split(",") if name]
    return replay(args.bundle, args.data, args.out, gap_s=args.gap_s, subjects=subjects, precision=args.precision)


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
