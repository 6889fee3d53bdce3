"""What a bundle says of itself: manifest.json, format 2."""

import hashlib
from typing import Any, Literal, TypeAlias, get_args

from pydantic import Field

from sigflow.config import Config

FORMAT = 2
MANIFEST = "manifest.json"
CARD = "model_card.md"
PrecisionName: TypeAlias = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[PrecisionName, ...] = get_args(PrecisionName)
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # stands in URLs and in paths


def graph_file(precision: PrecisionName) -> str:
    """What the graph of a precision is called."""
    return f"model.{precision}.onnx"


GRAPH = graph_file("fp32")  # every bundle has it


class GraphTensor(Config):
    """One input or output of the graph. `shape` uses "batch" and "frames" for the sizes that vary."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Decoding(Config):
    """From the graph's outputs to an answer.

    argmax: the class with the highest of `probs`. ctc_greedy: of each frame before the clip's end the class with the
    highest of `probs`, then repeats are one, then blanks are dropped. `log_probs` are natural logarithms of the same
    for a beam search.
    """

    method: Literal["argmax", "ctc_greedy"] = "argmax"
    output: str = "probs"
    log_output: str | None = None
    blank: int | None = None


class Attempt(Config):
    """One way to a precision, and what came of it. `reasons`: why it is not in the bundle; empty: it is."""

    method: str
    reasons: tuple[str, ...] = ()
    figures: dict[str, Any] = Field(default_factory=dict)


class Precision(Config):
    """What was tried, in that order, until one held up. `file` None: none did."""

    file: str | None
    attempts: tuple[Attempt, ...]


class Manifest(Config):
    """What manifest.json holds."""

    format: int = FORMAT
    name: str = Field(pattern=NAME)
    version: str = Field(pattern=NAME)
    created: str  # ISO 8601, UTC
    task: Literal["classification", "sentences"] = "classification"  # sentences: CTC over frames, label 0 is blank
    labels: tuple[str, ...]
    parts: tuple[str, ...]
    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...] = ()
    decoding: Decoding = Decoding()
    temperature: float = 1.0  # in the graph already
    extractor: str  # fingerprint of the rows that it was trained on
    recipes: tuple[dict[str, Any], ...]
    members: tuple[dict[str, Any], ...]
    provenance: dict[str, Any] = Field(default_factory=dict)  # fingerprints of data and folds, versions, commit
    metrics: dict[str, Any]
    parity: dict[str, float]
    precisions: dict[PrecisionName, Precision] = Field(default_factory=dict)
    gate: dict[str, Any] = Field(default_factory=dict)  # on which clips precisions were measured, and the limits
    files: dict[str, str] = Field(default_factory=dict)  # sha256 by name
    sha256: str = ""  # of this manifest without this field

    def digest(self) -> str:
        """What `sha256` must be."""
        return hashlib.sha256(self.model_dump_json(exclude={"sha256"}).encode()).hexdigest()
