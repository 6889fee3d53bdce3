"""Bundles published by name and version: REGISTRY/<name>/<version>/, on a local path, s3 or gs.

A version never changes: what answers today answers so tomorrow. Files are written first and the manifest last, so that
readers see a whole bundle or none, and a push or pull that was killed is repeated. Object storage knows no lock: of two
pushes of one version at the same time with different contents the second one to end says that it lost.
"""

from dataclasses import dataclass

from sigflow.bundle.files import parse_manifest, read_bundle, read_manifest, read_verified
from sigflow.bundle.manifest import MANIFEST, Manifest
from sigflow.errors import UserError
from sigflow.storage import Location


@dataclass(frozen=True)
class Published:
    """A version in the registry."""

    place: Location
    manifest: Manifest


def push(place: Location, registry: Location) -> tuple[Published, bool]:
    """Publish the bundle; False: this very bundle was there already, and nothing is written.

    Raises:
        UserError: no whole bundle at `place`, or the version is there with other contents.
    """
    manifest = read_bundle(place).manifest
    target = registry / manifest.name / manifest.version
    return Published(target, manifest), _copy(place, target, manifest, "a published version never changes")


def pull(registry: Location, name: str, version: str | None, out: Location) -> tuple[Published, bool]:
    """Copy a version to `out`, the newest one if `version` is None; False: it was there already.

    Raises:
        UserError: no such name or version, a file whose hash is wrong, or another bundle at `out`.
    """
    there = versions(registry, name)
    if not there:
        names = sorted({published.manifest.name for published in versions(registry)})
        raise UserError(f"{registry} holds no bundle '{name}'; it has {', '.join(names) or 'none'}")
    chosen = [published for published in there if version in (None, published.manifest.version)]
    if not chosen:
        known = ", ".join(published.manifest.version for published in there)
        raise UserError(f"{registry} holds no version '{version}' of '{name}'; it has {known}")
    newest = chosen[-1]
    return newest, _copy(newest.place, out, newest.manifest, "choose another --out")


def versions(registry: Location, name: str | None = None) -> list[Published]:
    """What is published, of one name or of all: by name, then by the time of export. Manifests alone are read.

    Raises:
        UserError: a manifest is damaged, or lies under another name or version than its own.
    """
    found = []
    for file in (registry if name is None else registry / name).files(MANIFEST, recursive=True):
        above, version, last = file.uri.rsplit("/", 2)
        if last != MANIFEST:
            continue
        place = Location(f"{above}/{version}")
        manifest = read_manifest(place)
        if (above.rsplit("/", 1)[-1], version) != (manifest.name, manifest.version):
            raise UserError(f"{place} holds {manifest.name}/{manifest.version}; it was moved: push it again")
        found.append(Published(place, manifest))
    return sorted(found, key=lambda published: (published.manifest.name, published.manifest.created))


def _copy(source: Location, target: Location, manifest: Manifest, otherwise: str) -> bool:
    """Every file with the hash that the manifest says, then the manifest as it is."""
    if (target / MANIFEST).exists():
        there = read_manifest(target)
        if there.sha256 != manifest.sha256:
            raise UserError(
                f"{target} holds {there.name}/{there.version} of {there.created} with other contents; {otherwise}"
            )
        return False
    text = (source / MANIFEST).read_bytes()
    if parse_manifest(source, text).sha256 != manifest.sha256:
        raise UserError(f"{source} was changed meanwhile; try again")
    for name, expected in manifest.files.items():
        (target / name).write_bytes(read_verified(source, name, expected))
    (target / MANIFEST).write_bytes(text)
    if read_bundle(target).manifest.sha256 != manifest.sha256:
        raise UserError(f"{target} was written by somebody else at the same time; {otherwise}")
    return True
