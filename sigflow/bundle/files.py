"""A bundle's folder: written, read, verified."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from sigflow.bundle.manifest import FORMAT, GRAPH, MANIFEST, PRECISIONS, Manifest, PrecisionName, graph_file
from sigflow.errors import UserError
from sigflow.storage import Location


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, with the graph of one of its precisions."""

    manifest: Manifest
    graph: bytes
    precision: PrecisionName = "fp32"


def write_bundle(place: Location, manifest: Manifest, files: Mapping[str, bytes]) -> Manifest:
    """Write the files, then the manifest with their hashes. Graphs of an earlier bundle here are removed."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    for name, data in files.items():
        (place / name).write_bytes(data)
    complete = manifest.model_copy(update={"files": hashes})
    complete = complete.model_copy(update={"sha256": complete.digest()})
    (place / MANIFEST).write_text(complete.model_dump_json(indent=1))
    for precision in PRECISIONS:
        if graph_file(precision) not in files:
            (place / graph_file(precision)).delete()
    return complete


def read_bundle(place: Location, precision: PrecisionName = "fp32") -> Bundle:
    """Load and verify: every file, also the graphs that are not asked for.

    Raises:
        UserError: no bundle, one of another format, a file that is missing or has another hash, or a precision that
            it does not have.
    """
    manifest = read_manifest(place)
    if graph_file(precision) not in manifest.files:
        raise UserError(_lacking(place, manifest, precision))
    contents = {name: read_verified(place, name, expected) for name, expected in manifest.files.items()}
    return Bundle(manifest, contents[graph_file(precision)], precision)


def read_manifest(place: Location) -> Manifest:
    """The manifest alone, verified in itself; the files are not read.

    Raises:
        UserError: no bundle, one of another format, or a damaged or forged manifest.
    """
    if not (place / MANIFEST).exists():
        raise UserError(f"{place} holds no bundle (no {MANIFEST}); give the --out of jobs/ensemble.py")
    return parse_manifest(place, (place / MANIFEST).read_bytes())


def parse_manifest(place: Location, text: bytes) -> Manifest:
    """What `text`, the manifest.json of `place`, says; see `read_manifest`."""
    try:
        values = json.loads(text)
        if (found := values.get("format")) != FORMAT:
            raise UserError(f"{place} has bundle format {found}, this sigflow reads {FORMAT}; export it again")
        manifest = Manifest.model_validate(values)
    except (ValueError, AttributeError, ValidationError) as error:
        raise UserError(
            f"{place}/{MANIFEST} is damaged ({str(error).splitlines()[0]}); copy or export the bundle again"
        ) from error
    if manifest.sha256 != manifest.digest():
        raise UserError(f"{place}/{MANIFEST} was changed after export; copy or export the bundle again")
    if GRAPH not in manifest.files:
        raise UserError(f"{place}/{MANIFEST} names no {GRAPH}; export the bundle again")
    for precision, tried in manifest.precisions.items():
        if tried.file not in (None, graph_file(precision)) or (tried.file or GRAPH) not in manifest.files:
            raise UserError(
                f"{place}/{MANIFEST} names no {graph_file(precision)} among its files; export the bundle again"
            )
    for name in manifest.files:
        if "/" in name or "\\" in name or name.startswith(".") or name == MANIFEST:
            raise UserError(f"{place}/{MANIFEST} names the file {name!r}, outside the bundle; do not use it")
    return manifest


def read_verified(place: Location, name: str, expected: str) -> bytes:
    """A file of the bundle.

    Raises:
        UserError: it is missing, or its sha256 is not `expected`.
    """
    if not (place / name).exists():
        raise UserError(f"{place}/{name} is missing; copy or export the bundle again")
    data = (place / name).read_bytes()
    if hashlib.sha256(data).hexdigest() != expected:
        raise UserError(
            f"{place}/{name} was changed after export (its sha256 differs); copy or export the bundle again"
        )
    return data


def _lacking(place: Location, manifest: Manifest, precision: PrecisionName) -> str:
    there = ", ".join(name for name in PRECISIONS if graph_file(name) in manifest.files)
    tried = manifest.precisions.get(precision)
    why = tried.attempts[-1].reasons[0] if tried and tried.attempts and tried.attempts[-1].reasons else "not exported"
    return f"{place} has no {precision} graph ({why}); choose {there}"
