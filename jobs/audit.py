"""Check before a run whether the data can support the recipe; exits with 1 if an error speaks against it.

Example: python jobs/audit.py --data landmarks --recipe isolated_gestures
--folds and --holdout as for jobs/train.py, which audits too and stops on errors.
"""

import argparse
import json
import sys

from sigflow.pipelines import job
from sigflow.pipelines.audit import audit_and_tell, prepare
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, type=job.path, help="the --out of jobs/extract.py")
    parser.add_argument("--recipe", required=True, help="name of a recipe, or a .json file")
    parser.add_argument("--folds", default="5", help="5, subject, random:5 or split; default 5")
    parser.add_argument("--holdout", default="", help="subjects, separated by commas, that no fold sees")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe; repeatable")


def main(args: argparse.Namespace) -> dict[str, object]:
    recipe = override(find_recipe(args.recipe), args.set)
    holdout = [name for name in args.holdout.split(",") if name]
    findings = audit_and_tell(prepare(recipe, args.data, folds_spec=args.folds, holdout=holdout))
    answer = {
        "findings": [finding.model_dump() for finding in findings],
        "ok": all(finding.severity != "error" for finding in findings),
    }
    if not answer["ok"]:
        print(json.dumps(answer))
        sys.exit(1)
    return answer


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
