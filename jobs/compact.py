"""Merge the many small files of a data set into few large ones, which are listed and read faster.

Example: python jobs/compact.py --data landmarks
Not while extract or ingest writes there. Killed at any moment nothing is lost and nothing there twice; the same command
goes on. Clips that are extracted later are new small files; run it again now and then.
"""

import argparse

from sigflow.pipelines import job
from sigflow.pipelines.compact import FILE_MB, compact


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, type=job.path, help="the --out of jobs/extract.py or ingest.py")
    parser.add_argument(
        "--file-mb", type=job.positive(int), default=FILE_MB, help=f"about as large as that; default {FILE_MB}"
    )


def main(args: argparse.Namespace) -> dict[str, object]:
    return compact(args.data, args.file_mb)


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
