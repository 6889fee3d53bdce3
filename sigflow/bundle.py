"""The exported ensemble: a folder that is served, copied, versioned.

    manifest.json   format, name, version, labels, inputs, extractor, recipes, metrics, sha256 of every other file
    model.onnx      landmarks in, probabilities out

The manifest is written last and names every file with its hash, so a bundle is whole or it is refused.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError

from sigflow.config import Config
from sigflow.errors import UserError
from sigflow.storage import Location

FORMAT = 1
GRAPH = "model.onnx"
MANIFEST = "manifest.json"


class GraphInput(Config):
    """One input of the graph. `shape` uses "batch" and "frames" for the sizes that vary."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Manifest(Config):
    """What a bundle says of itself."""

    format: int = FORMAT
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")  # stands in URLs
    version: str
    created: str  # ISO 8601, UTC
    task: Literal["classification", "sentences"] = "classification"  # sentences: CTC over frames, label 0 is blank
    labels: tuple[str, ...]
    parts: tuple[str, ...]
    inputs: tuple[GraphInput, ...]
    extractor: str  # fingerprint of the rows that it was trained on
    recipes: tuple[dict[str, Any], ...]
    members: tuple[dict[str, Any], ...]
    metrics: dict[str, Any]
    parity: dict[str, float]
    files: dict[str, str] = Field(default_factory=dict)  # sha256 by name
    sha256: str = ""  # of this manifest without this field

    def digest(self) -> str:
        """What `sha256` must be."""
        return hashlib.sha256(self.model_dump_json(exclude={"sha256"}).encode()).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A verified bundle."""

    manifest: Manifest
    graph: bytes


def write_bundle(place: Location, manifest: Manifest, files: Mapping[str, bytes]) -> Manifest:
    """Write the files, then the manifest with their hashes."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    for name, data in files.items():
        (place / name).write_bytes(data)
    complete = manifest.model_copy(update={"files": hashes})
    complete = complete.model_copy(update={"sha256": complete.digest()})
    (place / MANIFEST).write_text(complete.model_dump_json(indent=1))
    return complete


def read_bundle(place: Location) -> Bundle:
    """Load and verify.

    Raises:
        UserError: no bundle, one of another format, or a file that is missing or has another hash.
    """
    if not (place / MANIFEST).exists():
        raise UserError(f"{place} holds no bundle (no {MANIFEST}); give the --out of jobs/ensemble.py")
    try:
        values = json.loads((place / MANIFEST).read_bytes())
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
    contents: dict[str, bytes] = {}
    for name, expected in manifest.files.items():
        if "/" in name or name.startswith("."):
            raise UserError(f"{place}/{MANIFEST} names the file {name!r}, outside the bundle; do not use it")
        if not (place / name).exists():
            raise UserError(f"{place}/{name} is missing; copy or export the bundle again")
        contents[name] = (place / name).read_bytes()
        if hashlib.sha256(contents[name]).hexdigest() != expected:
            raise UserError(
                f"{place}/{name} was changed after export (its sha256 differs); copy or export the bundle again"
            )
    return Bundle(manifest, contents[GRAPH])
