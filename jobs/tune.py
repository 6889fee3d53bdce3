"""Search for better settings of a recipe, or of several, and measure the winner again on fresh folds.

Example: python jobs/tune.py --recipe unified_signs --data landmarks --out tuned --time-limit 20
What is searched stands beside each recipe; --set fixes a key. A trial trains folds in turn and is stopped after one or
three that others did better (ASHA). The best recipe is OUT/best.json: jobs/train.py --recipe OUT/best.json takes it.
Killed? The same command with --resume goes on and repeats what was running. --search pbt first trains a population on
one fold, in which bad members take over the weights and, a little changed, the settings of good ones; the settings that
it ends with are then tried as any others. It changes numbers that may change while a network is trained, nothing else.
"""

import argparse

from sigflow.pipelines import job
from sigflow.pipelines.tune import DEFAULT_TRIALS, tune
from sigflow.recipes.catalogue import find_recipe, find_space
from sigflow.recipes.recipe import override
from sigflow.tuning.population import MEMBERS


def flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--recipe", required=True, metavar="NAME,...", help="names of recipes, or .json files; several: the best wins")
    add("--data", required=True, type=job.path, help="the --out of jobs/extract.py")
    add("--out", required=True, type=job.path, help="the search's folder")
    add("--folds", default="5", help="5, subject, random:5 or split; default 5")
    add("--holdout", default="", help="subjects, separated by commas, that no fold sees")
    add(
        "--trials",
        type=job.positive(int),
        help=f"default {DEFAULT_TRIALS}, or what --time-limit allows; of pbt the members: {MEMBERS}",
    )
    add("--concurrent", type=job.positive(int), help="trials side by side; default one per CPU, or four per GPU")
    add("--time-limit", type=job.positive(float), metavar="MINUTES", help="of all trials; measuring again comes after")
    add("--search", choices=("tpe", "random", "pbt"), default="tpe", help="default tpe")
    add("--resume", action="store_true", help="go on with the search that --out holds")
    add("--force", default="", metavar="CODE,...", help="errors of the audit that are accepted")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="fixed, not searched; repeatable")


def main(args: argparse.Namespace) -> dict[str, object]:
    recipes = [override(find_recipe(name), args.set) for name in args.recipe.split(",")]
    fixed = [text.partition("=")[0] for text in args.set]
    return tune(
        recipes, args.data, args.out,
        spaces={recipe.name: find_space(recipe, fixed) for recipe in recipes}, folds_spec=args.folds,
        holdout=[name for name in args.holdout.split(",") if name], method=args.search, trials=args.trials,
        concurrent=args.concurrent, limit_min=args.time_limit, resume=args.resume,
        force=[code for code in args.force.split(",") if code],
    )  # fmt: skip


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
