"""Train a recipe under k-fold cross-validation that never splits a subject.

Example: python jobs/train.py --recipe isolated_gestures --data landmarks --out runs/first
--folds: a number (stratified, grouped by subject), subject (leave one subject out), random:N (not subject-independent),
or split (the split column). --holdout names subjects that leave before folding; they measure the bundle later.
"""

import argparse

from sigflow.pipelines import job
from sigflow.pipelines.train import train
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipe", required=True, help="name of a recipe, or a .json file")
    parser.add_argument("--data", required=True, type=job.path, help="the --out of jobs/extract.py")
    parser.add_argument("--out", required=True, type=job.path, help="the run's directory")
    parser.add_argument("--folds", default="5", help="5, subject, random:5 or split; default 5")
    parser.add_argument("--holdout", default="", help="subjects, separated by commas, that no fold sees")
    parser.add_argument(
        "--workers",
        type=job.positive(int),
        help="how many train side by side; default one a fold, as far as GPUs or CPUs reach",
    )
    parser.add_argument("--init", type=job.path, metavar="RUN", help="begin with the weights of this finished run")
    parser.add_argument("--resume", action="store_true", help="go on with the run that --out holds")
    parser.add_argument("--force", default="", metavar="CODE,...", help="errors of the audit that are accepted")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. optim.lr=3e-4; repeatable"
    )


def main(args: argparse.Namespace) -> dict[str, object]:
    recipe = override(find_recipe(args.recipe), args.set)
    holdout = [name for name in args.holdout.split(",") if name]
    metrics = train(
        recipe, args.data, args.out,
        folds_spec=args.folds, holdout=holdout, workers=args.workers, resume=args.resume,
        init=args.init, force=[code for code in args.force.split(",") if code],
    )  # fmt: skip
    score = recipe.score
    shown = (f"{score}_mean", f"{score}_std", score, "accuracy", "worst_subject", "subject_independent")
    return {
        "run": args.out.uri,
        "metrics": {name: metrics[name] for name in shown},
        "gates": metrics["gates"],
        "warnings": metrics["warnings"],
        "report": metrics["report"],
    }


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
