"""Choose among runs and combine them into one bundle: a single ONNX graph from landmarks to probabilities.

Example: python jobs/ensemble.py --runs runs/lstm runs/rocket runs/graph --out bundles/gestures
The runs must share clips and folds; recipes and seeds may differ. Averages and greedy selection are judged on folds
that had no say in the choice, and the best is exported, or the best run alone where no ensemble does better. Accuracy
is measured on the --holdout subjects of the runs, through the exported graph; where there are none, the manifest says
"estimated from OOF". fp16 and int8 are in the bundle where they hold up beside fp32; if not, the manifest says why.
--refit trains each member once more on all clips but the holdout's, for the mean of its folds' best epochs; that model
takes the place of its fold models unless it does worse on the holdout. Killed, the same command goes on.
"""

import argparse
from typing import Any

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
    parser.add_argument("--max-members", type=job.positive(int), metavar="N", help="at most so many runs vote")
    parser.add_argument(
        "--max-ms", type=job.positive(float), metavar="X", help="milliseconds a clip in one thread; each run is timed"
    )
    parser.add_argument(
        "--refit", action="store_true", help="members trained once more, on all clips but the holdout's"
    )


def main(args: argparse.Namespace) -> dict[str, object]:
    manifest = build_bundle(
        args.runs, args.out,
        name=args.name, precisions=args.precisions, max_members=args.max_members, max_ms=args.max_ms, refit=args.refit,
    )  # fmt: skip
    choice, metrics = manifest.metrics["choice"], manifest.metrics
    score, nested = choice["score"], choice["nested"]
    return {
        "bundle": args.out.uri,
        "name": manifest.name,
        "version": manifest.version,
        "members": [member["run"] for member in manifest.members],
        "weights": [member["weight"] for member in manifest.members],
        "method": choice["method"],
        "temperature": manifest.temperature,
        "score": score,
        "nested": {name: nested[name][score] for name in ("exported", "ensemble", "single")},
        "mean_single": choice["mean_single"],
        "best_run": choice["best_run"],
        "ece_oof": _ece(nested["exported"]),
        "ece_holdout": _ece(metrics.get("holdout", {})),
        "ms": choice.get("ms"),
        "refit": metrics.get("refit"),
        "measured_on": metrics["measured_on"],
        "warnings": choice["warnings"],
        "parity": manifest.parity,
        "sizes": {name: (args.out / name).size() for name in manifest.files},
        "refused": {
            name: list(tried.attempts[-1].reasons) for name, tried in manifest.precisions.items() if tried.file is None
        },
    }


def _ece(figures: dict[str, Any]) -> dict[str, float | None]:
    return {"before": figures.get("before_temperature", figures).get("ece"), "after": figures.get("ece")}


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
