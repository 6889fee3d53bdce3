"""Make of a folder of videos a published bundle: extract, audit, train, ensemble and publish, as one job.

Example: python jobs/learn.py --videos my_clips --out learnt
Folds are by subject; of one or two people random:5, and the figures are then of people that were learnt from. OUT has
landmarks/, runs/, bundles/ (a registry) and learn.json (how far it is). Killed or stopped, the same command goes on; of
changed videos only what changed is extracted. A version that was published never changes.
"""

import argparse

from sigflow.pipelines import job
from sigflow.pipelines.learn import learn
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--videos", required=True, type=job.path, help="folder of videos, or manifest .csv")
    parser.add_argument("--out", required=True, type=job.path, help="folder or s3:// for all that is made")
    parser.add_argument("--recipe", default="recorded_gestures", help="name of a recipe, or a .json file")
    parser.add_argument("--name", type=job.name, help="what it is served as; default the recipe's name")
    parser.add_argument("--registry", type=job.path, help="where it is published; default OUT/bundles")
    parser.add_argument("--until", choices=("audit", "bundle"), default="bundle", help="audit: stop after the findings")
    parser.add_argument("--force", default="", metavar="CODE,...", help="errors of the audit that are accepted")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe; repeatable")


def main(args: argparse.Namespace) -> dict[str, object]:
    done = learn(
        args.videos, args.out, override(find_recipe(args.recipe), args.set),
        name=args.name, registry=args.registry, until=args.until,
        force=[code for code in args.force.split(",") if code],
    )  # fmt: skip
    return {
        "out": args.out.uri,
        "findings": [found.model_dump() for found in done.findings],
        "seconds": {stage.name: stage.seconds for stage in done.stages},
        "result": done.result,
    }


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
