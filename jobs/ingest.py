"""Import landmarks that others extracted: MP_Data folders, Kaggle ISLR Parquet, .pose files, npz.

Example: python jobs/ingest.py --format mp_data --source MP_Data --out landmarks
Zeros that mean "not detected" become missing. Damaged items go to OUT/quarantine and the rest is imported.
npz holds x (N, T, F) or (N, T, P, 3), y, and optionally lengths and an array of subjects (--subject-key).
"""

import argparse

from sigflow.data.importers import FORMATS, ImportOptions
from sigflow.pipelines import job
from sigflow.pipelines.ingest import ingest


def flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--format", required=True, choices=FORMATS, help="layout of the source")
    add("--source", required=True, type=job.path, help="folder or file")
    add("--out", required=True, type=job.path, help="folder or s3:// for the Parquet files")
    subject = parser.add_mutually_exclusive_group()
    subject.add_argument("--subject", help="who is seen in all clips")
    subject.add_argument("--subject-key", help="npz: name of the array that holds each clip's subject")
    add(
        "--fps", type=job.positive(float), default=30.0, help="frames a second, where the data does not say; default 30"
    )
    add("--width", type=job.positive(int), default=640, help="of the video, where the data does not say; default 640")
    add("--height", type=job.positive(int), default=480, help="likewise; default 480")


def main(args: argparse.Namespace) -> dict[str, object]:
    options = ImportOptions(
        fps=args.fps, width=args.width, height=args.height, subject=args.subject, subject_key=args.subject_key
    )
    return ingest(args.format, args.source, args.out, options)


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
