"""Score a bundle on landmarks: per class and subject, calibration, risk and coverage, latency; or test two bundles.

Example: python jobs/evaluate.py --bundle bundles/gestures --data landmarks --out out/evaluation --against bundles/older
Clips without a label that the bundle knows are counted and left out. OUT gets metrics.json, predictions.parquet and
pictures. --against tests whether the difference could be chance (McNemar's exact test; bootstrap over subjects).
"""

import argparse

from sigflow.bundle import PRECISIONS
from sigflow.pipelines import job
from sigflow.pipelines.evaluate import evaluate


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", required=True, type=job.path, help="the --out of jobs/ensemble.py")
    parser.add_argument("--data", required=True, type=job.path, help="labelled landmarks, the --out of jobs/extract.py")
    parser.add_argument("--out", required=True, type=job.path, help="where figures and pictures are written")
    parser.add_argument("--against", type=job.path, help="another bundle (its fp32 graph) to test this one against")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of --bundle; default fp32")


def main(args: argparse.Namespace) -> dict[str, object]:
    return evaluate(args.bundle, args.data, args.out, against=args.against, precision=args.precision)


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
