"""Combine runs into one bundle: a single ONNX graph from landmarks to probabilities, with its manifest.

Example: python jobs/ensemble.py --runs runs/first --out bundles/gestures
The runs must share their clips and folds. Accuracy is measured on the --holdout subjects of the runs, through the
exported graph; where there are none, the manifest says "estimated from OOF". fp16 and int8 are in the bundle where they
hold up beside fp32; where one does not, the manifest says why.
"""

import argparse

from sigflow.bundle import PRECISIONS
from sigflow.pipelines import job
from sigflow.pipelines.bundle import build_bundle


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", required=True, nargs="+", type=job.path, help="directories of finished runs")
    parser.add_argument("--out", required=True, type=job.path, help="the bundle's directory")
    parser.add_argument("--name", type=job.name, help="what it is served as; default the first recipe's name")
    parser.add_argument(
        "--precisions", type=job.names(PRECISIONS), default=PRECISIONS, help="to try; default fp32,fp16,int8"
    )


def main(args: argparse.Namespace) -> dict[str, object]:
    manifest = build_bundle(args.runs, args.out, name=args.name, precisions=args.precisions)
    return {
        "bundle": args.out.uri,
        "name": manifest.name,
        "version": manifest.version,
        "members": [member["run"] for member in manifest.members],
        "weights": [member["weight"] for member in manifest.members],
        "oof": {name: manifest.metrics["oof"][name] for name in ("macro_f1", "best_single")},
        "measured_on": manifest.metrics["measured_on"],
        "parity": manifest.parity,
        "sizes": {name: (args.out / name).size() for name in manifest.files},
        "refused": {
            name: list(tried.attempts[-1].reasons) for name, tried in manifest.precisions.items() if tried.file is None
        },
    }


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
