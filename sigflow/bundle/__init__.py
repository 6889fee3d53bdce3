"""The exported ensemble: a folder that is served, copied, versioned. `docs/bundle.md` is the format's description.

    manifest.json        what the bundle is: labels, inputs, outputs, decoding, extractor, recipes, provenance, metrics,
                         what each precision was measured at, and the sha256 of every other file
    model.fp32.onnx      landmarks in, probabilities out
    model.fp16.onnx, model.int8.onnx   the same with smaller weights, where they held up
    model_card.md        what a person should know before using it

The manifest is written last and names every file with its hash, so a bundle is whole or it is refused.
"""

from sigflow.bundle.files import Bundle, read_bundle, read_manifest, write_bundle
from sigflow.bundle.manifest import (
    CARD,
    FORMAT,
    GRAPH,
    MANIFEST,
    PRECISIONS,
    Attempt,
    Decoding,
    GraphTensor,
    Manifest,
    Precision,
    PrecisionName,
    Streaming,
    graph_file,
)
from sigflow.bundle.registry import Published, pull, push, versions

__all__ = [
    "CARD",
    "FORMAT",
    "GRAPH",
    "MANIFEST",
    "PRECISIONS",
    "Attempt",
    "Bundle",
    "Decoding",
    "GraphTensor",
    "Manifest",
    "Precision",
    "PrecisionName",
    "Published",
    "Streaming",
    "graph_file",
    "pull",
    "push",
    "read_bundle",
    "read_manifest",
    "versions",
    "write_bundle",
]
