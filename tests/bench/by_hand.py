"""What one would write by hand: FastAPI, pydantic and onnxruntime in one process, one run of the graph a request.

What Ray Serve is measured against; JSON alone, one part, one clip, and none of the checks that strangers make needed.
"""

import sys

import numpy as np
import uvicorn
from fastapi import FastAPI
from onnxruntime import InferenceSession, SessionOptions
from pydantic import BaseModel

from sigflow.bundle import read_bundle
from sigflow.storage import locate


class Clip(BaseModel):
    """One clip."""

    landmarks: dict[str, list[list[list[float]]]]
    fps: float
    aspect: float = 4 / 3


def make(bundle_uri: str) -> FastAPI:
    """The application."""
    bundle = read_bundle(locate(bundle_uri))
    options = SessionOptions()
    options.intra_op_num_threads = 1
    session = InferenceSession(bundle.graph, options)
    wanted = {value.name for value in session.get_inputs()}
    api = FastAPI()

    @api.get("/readyz")
    def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @api.post("/v1/models/gestures:predict")
    def predict(clip: Clip) -> dict[str, object]:
        points = {part: np.array(frames, np.float32)[None] for part, frames in clip.landmarks.items()}
        frames = len(next(iter(clip.landmarks.values())))
        given = points | {
            "time_s": np.arange(frames, dtype=np.float32)[None] / np.float32(clip.fps),
            "aspect": np.array([clip.aspect], np.float32),
            "lengths": np.array([frames], np.int64),
        }
        missing = np.full_like(next(iter(points.values())), np.nan)  # a part that was not sent
        (probs,) = session.run(["probs"], {name: given.get(name, missing) for name in wanted})
        best = probs[0].argsort()[::-1][:5]
        labels = bundle.manifest.labels
        return {"label": labels[best[0]], "probabilities": {labels[k]: float(probs[0, k]) for k in best}}

    return api


if __name__ == "__main__":
    place, port = sys.argv[1:]
    uvicorn.run(make(place), host="127.0.0.1", port=int(port), log_level="warning", access_log=False)
