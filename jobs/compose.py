"""Compose sentences of isolated clips, so that continuous_signs can be trained where nobody signed sentences.

Example: python jobs/compose.py --data landmarks --out sentences --count 2000
Each sentence is of one subject, its signs joined by interpolated transitions; clips labelled "-" are pauses.
"""

import argparse

from sigflow.pipelines import job
from sigflow.pipelines.compose import compose_sentences


def flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", required=True, type=job.path, help="labelled clips: the --out of jobs/extract.py or ingest.py")
    add("--out", required=True, type=job.path, help="folder or s3:// for the sentences")
    add("--count", type=job.positive(int), default=2000, help="sentences; default 2000")
    add("--glosses", type=job.positive(int), nargs=2, default=(2, 6), metavar=("LEAST", "MOST"), help="default 2 6")
    add("--parts", type=job.names(("left_hand", "right_hand", "pose")), default=("left_hand", "right_hand", "pose"))
    add("--seed", type=int, default=0)


def main(args: argparse.Namespace) -> dict[str, object]:
    least, most = args.glosses
    return compose_sentences(
        args.data, args.out, parts=args.parts, count=args.count, glosses=(least, max(least, most)), seed=args.seed
    )


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
