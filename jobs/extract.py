"""Extract landmarks: a folder of videos, or a manifest, to Parquet.

Example: python jobs/extract.py --videos my_clips --out landmarks
Videos lie as DIR/<label>/<file> or DIR/<subject>/<label>/<file>; a manifest .csv has the columns path, label, glosses,
subject, split, start_s, end_s (all but path optional). Clips that the output holds already are skipped.
"""

import argparse

from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.isolation import Limits
from sigflow.landmarks.video import Sampling
from sigflow.pipelines import job
from sigflow.pipelines.extract import extract
from sigflow.pipelines.preview import FEATURES
from sigflow.topology import MODELS


def flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--videos", required=True, type=job.path, help="folder of videos, or manifest .csv")
    add("--out", required=True, type=job.path, help="folder or s3:// for the Parquet files")
    add("--parts", type=job.names(MODELS), default=("hands",), help="of hands,pose,face; default hands")
    sampling = parser.add_mutually_exclusive_group()
    sampling.add_argument("--every", type=job.positive(int), default=1, metavar="N", help="only each N-th frame")
    sampling.add_argument("--fps", type=job.positive(float), help="at most this many frames a second")
    add("--max-hands", type=int, choices=(1, 2), default=2, help="1 where no clip shows two: saves half the time")
    add("--mirrored", action="store_true", help="the videos are mirrored, as selfies are")
    add("--preview", type=job.positive(int), default=0, metavar="N", help="draw N clips into OUT/preview.png")
    add("--feature", type=job.names(FEATURES), default=(), help="and their hand,body,lips,phonology over time")
    add("--on-change", choices=("refuse", "replace", "keep"), default="refuse", help="rows of other options in OUT")
    add("--retry-failed", action="store_true", help="try quarantined clips again")
    add("--clip-seconds", type=job.positive(float), default=3600.0, help="give a clip up after so long; default 3600")
    add("--clip-memory-mb", type=job.positive(int), default=4096, help="or when it takes more; default 4096")


def main(args: argparse.Namespace) -> dict[str, object]:
    sampling = Sampling(every=args.every, fps=args.fps)
    options = DetectorOptions(models=args.parts, mirrored=args.mirrored, num_hands=args.max_hands, sampling=sampling)
    limits = Limits(seconds=args.clip_seconds, memory_mb=args.clip_memory_mb)
    return extract(
        args.videos, args.out, options,
        limits=limits, on_change=args.on_change, retry_failed=args.retry_failed,
        preview=args.preview, preview_features=args.feature,
    )  # fmt: skip


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
