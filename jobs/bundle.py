"""Publish bundles by name and version, and fetch them: REGISTRY/NAME/VERSION on a local path, s3:// or gs://.

Examples: python jobs/bundle.py push --bundle bundles/gestures --registry s3://models
          python jobs/bundle.py pull --registry s3://models --name gestures --out bundles/gestures
          python jobs/bundle.py list --registry s3://models
A published version never changes: pushing the same bundle again does nothing, another one is refused. Every file's
sha256 is verified; the manifest comes last, so that a push or pull that was killed is no bundle until it is repeated.
"""

import argparse

from sigflow.bundle import Published, pull, push, versions
from sigflow.pipelines import job


def flags(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    added = {name: actions.add_parser(name) for name in ("push", "pull", "list")}
    added["push"].add_argument("--bundle", required=True, type=job.path, help="the --out of jobs/ensemble.py")
    added["pull"].add_argument("--name", required=True, type=job.name)
    added["pull"].add_argument("--version", type=job.name, help="default the one that was exported last")
    added["pull"].add_argument("--out", required=True, type=job.path, help="the bundle's directory")
    added["list"].add_argument("--name", type=job.name, help="default all")
    for action in added.values():
        action.add_argument("--registry", required=True, type=job.path, help="local path, s3://... or gs://...")


def main(args: argparse.Namespace) -> dict[str, object]:
    if args.action == "list":
        return {"registry": args.registry.uri, "bundles": [shown(one) for one in versions(args.registry, args.name)]}
    if args.action == "push":
        published, written = push(args.bundle, args.registry)
    else:
        published, written = pull(args.registry, args.name, args.version, args.out)
    return shown(published) | {"written": written}


def shown(published: Published) -> dict[str, object]:
    """As plain JSON."""
    manifest = published.manifest
    said = {"name": manifest.name, "version": manifest.version, "created": manifest.created}
    return said | {"place": published.place.uri, "files": len(manifest.files)}


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
