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


class Streaming(Config):
    """How an endless stream of frames is recognised: which windows are looked at, and what of them is an event.

    Attributes:
        window_s: length of a window; one is due every `hop_s`.
        max_gap_s: without a frame for longer, or with a clock that jumps further, the stream begins anew.
        watched: parts of which one must be seen in a frame for it to count as seen.
        seen_s: a window in which frames are seen for less means nothing, and no graph is run for it.
        ignored: labels that mean nothing; they are no events.
        smoothing_s: time constant of the exponential mean over windows; 0: none.
        on, off: a label begins where its smoothed probability reaches `on`, and ends where it is below `off`.
        lasting_s: a label that is there for less is no event.
        cool_down_s: after an event the same label is no event again for so long.
        told: an event is told when it is sure to be one and goes on, or when it has ended and its end is known.
        stable_s: of sentences: a gloss is told when so much was seen after it, and two windows agree.
    """

    window_s: float = Field(default=1.0, gt=0, le=60)
    hop_s: float = Field(default=0.2, ge=0.01, le=60)
    max_gap_s: float = Field(default=1.0, gt=0, le=60)
    watched: tuple[str, ...] = ()
    seen_s: float = Field(default=0.5, ge=0)
    ignored: tuple[str, ...] = ()
    smoothing_s: float = Field(default=0.1, ge=0)
    on: float = Field(default=0.6, gt=0, le=1)
    off: float = Field(default=0.4, gt=0, le=1)
    lasting_s: float = Field(default=0.4, ge=0)
    cool_down_s: float = Field(default=0.5, ge=0)
    told: Literal["begun", "ended"] = "begun"
    stable_s: float = Field(default=0.5, ge=0)


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
    stream: Streaming | None = None  # None: exported before there were streams
    files: dict[str, str] = Field(default_factory=dict)  # sha256 by name
    sha256: str = ""  # of this manifest without this field

    def digest(self) -> str:
        """What `sha256` must be."""
        left_out = {"sha256"} | ({"stream"} if self.stream is None else set())  # older manifests have no such key
        return hashlib.sha256(self.model_dump_json(exclude=left_out).encode()).hexdigest()
