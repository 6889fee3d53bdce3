"""Extract landmarks: a folder of videos, or a manifest, to Parquet.

Example: python jobs/extract.py --videos my_clips --out landmarks
Videos lie as DIR/<label>/<file> or DIR/<subject>/<label>/<file>; a manifest .csv has the columns path, label, glosses,
subject, split, start_s, end_s (all but path optional). Clips that the output holds already are skipped.
"""

import argparse
from dataclasses import asdict

from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.video import Sampling
from sigflow.pipelines import job
from sigflow.pipelines.extract import extract
from sigflow.topology import MODELS


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--videos", required=True, type=job.path, help="folder of videos, or manifest .csv")
    parser.add_argument("--out", required=True, type=job.path, help="folder or s3:// for the Parquet files")
    parser.add_argument("--parts", type=job.names(MODELS), default=("hands",), help="of hands,pose,face; default hands")
    sampling = parser.add_mutually_exclusive_group()
    sampling.add_argument("--every", type=job.positive(int), default=1, metavar="N", help="only each N-th frame")
    sampling.add_argument("--fps", type=job.positive(float), help="at most this many frames a second")
    parser.add_argument("--mirrored", action="store_true", help="the videos are mirrored, as selfies are")


def main(args: argparse.Namespace) -> dict[str, object]:
    sampling = Sampling(every=args.every, fps=args.fps)
    options = DetectorOptions(models=args.parts, mirrored=args.mirrored, sampling=sampling)
    return asdict(extract(args.videos, args.out, options))


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
