"""All of it, end to end: rendered videos to HTTP answers about a subject that no fold has seen."""

import csv
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from sigflow import report, runs
from sigflow.bundle import Manifest, read_bundle
from sigflow.data.clips import load_clips
from sigflow.errors import UserError
from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.synthetic import write_sample_set
from sigflow.pipelines.bundle import build_bundle
from sigflow.pipelines.extract import extract
from sigflow.pipelines.job import connect
from sigflow.pipelines.material import clip_inputs
from sigflow.pipelines.progress import Progress
from sigflow.pipelines.train import train
from sigflow.predictor import ClipInput
from sigflow.recipes.isolated_gestures import RECIPE
from sigflow.schema import LANDMARKS_DIR
from sigflow.storage import Location

HOLDOUT = "fay"
MIN_CORRECT = 0.9


def demo(out: Location) -> dict[str, Any]:
    """Run every step below the local folder `out`, reusing what is there; give the figures.

    Raises:
        UserError: a step failed, or fewer than 9 of 10 answers were right.
    """
    started = time.monotonic()
    if not out.is_local:
        raise UserError(f"the demo writes pictures and videos to a local folder, not to {out}")
    videos, data, run, bundle = (out / name for name in ("videos", "landmarks", "run", "bundle"))
    _render(Path(videos.uri))
    connect()
    extracted = extract(videos, data, DetectorOptions(), on_change="replace")
    _say("training")
    if (run / "run.json").exists() and runs.read_run(run).recipe != RECIPE:  # an older demo's, which would go on
        shutil.rmtree(run.uri)
    try:
        metrics = train(RECIPE, data, run, holdout=[HOLDOUT], resume=True)
    except runs.OtherRunError:  # its videos were others
        shutil.rmtree(run.uri)
        metrics = train(RECIPE, data, run, holdout=[HOLDOUT], resume=True)
    _say("exporting")
    manifest = _reused_bundle(bundle, run) or build_bundle([run], bundle)
    _draw(out, data, run)
    _say("serving")
    clips = load_clips(data, manifest.parts)
    rows = [i for i, subject in enumerate(clips.column("subject")) if subject == HOLDOUT]
    with serving(bundle, log=Path((out / "serve.log").uri)) as port:
        answers = ask(port, manifest.name, clip_inputs(clips, rows))
    labels = clips.column("label")
    correct = sum(label == labels[row] for row, (label, _) in zip(rows, answers, strict=True))
    if correct < MIN_CORRECT * len(rows):
        raise UserError(f"only {correct} of {len(rows)} HTTP answers were right; see {out}/confusion_matrix.png")
    found = [clip.found * len(clip.time_s) for clip in clip_inputs(clips, range(len(clips)))]
    return {
        "clips": len(clips),
        "frames": len(clips.time_s_S),
        "extract": {
            "frames_per_s": extracted["frames_per_s"]
            if extracted["clips"]
            else None,  # null: nothing was left to extract
            "hand_found": round(sum(found) / len(clips.time_s_S), 4),
        },
        "cv": {name: metrics[name] for name in ("macro_f1_mean", "macro_f1_std", "worst_subject")},
        "bundle": bundle.uri,
        "http": {
            "status": 200,
            "asked": len(rows),
            "correct": correct,
            "p50_ms": round(float(np.median([ms for _, ms in answers])), 2),
        },
        "seconds": round(time.monotonic() - started, 1),
    }


@contextmanager
def serving(bundle: Location, *, log: Path) -> Iterator[int]:
    """`python -m serve` with this bundle on the connected cluster; gives its port, a free one of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    command = [sys.executable, "-m", "serve", "--bundle", bundle.uri, "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env=environment)  # noqa: S603  # own words
    try:
        _wait_ready(server, port, log)
        yield port
    finally:
        server.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=30)
        server.kill()


def ask(port: int, name: str, clips: Sequence[ClipInput]) -> list[tuple[str, float]]:
    """Label and milliseconds for each clip, one request each, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    answers = []
    for clip in clips:
        body = json.dumps(
            {
                "landmarks": {part: _nested(points) for part, points in clip.parts.items()},
                "time_ms": (clip.time_s * 1000).tolist(),
                "aspect": clip.aspect,
            }
        )
        start = time.perf_counter()
        connection.request("POST", f"/v1/models/{name}:predict", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise UserError(f"the server answered {answer.status}: {text[:300].decode(errors='replace')}")
        answers.append((json.loads(text)["predictions"][0]["label"], (time.perf_counter() - start) * 1000))
    connection.close()
    return answers


def _nested(points_TP3: np.ndarray) -> list[Any]:
    return [None if np.isnan(frame).any() else frame.tolist() for frame in points_TP3]


def _wait_ready(server: subprocess.Popen[bytes], port: int, log: Path, *, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.3)
    raise UserError(f"the server did not become ready; see {log}")


def _render(videos: Path) -> None:
    progress: list[Progress] = []

    def count(done: int, total: int) -> None:
        if not progress:
            progress.append(Progress("render", total, "clips"))
        progress[0].advance(1)

    write_sample_set(videos, on_progress=count)


def _reused_bundle(place: Location, run: Location) -> Manifest | None:
    """The bundle that is there, if it was made from this very run."""
    with suppress(UserError):
        manifest = read_bundle(place).manifest
        if manifest.members[0]["key"] == runs.read_run(run).key:
            return manifest
    return None


def _draw(out: Location, data: Location, run: Location) -> None:
    """The pictures beside the bundle."""
    table = pa.concat_tables([file.read_parquet() for file in (data / LANDMARKS_DIR).files(".parquet")]).sort_by(
        "clip_id"
    )
    pairs = list(zip(table["label"].to_pylist(), table["subject"].to_pylist(), strict=True))
    people = sorted({subject for _, subject in pairs})
    labels = sorted({label for label, _ in pairs})
    shown = [pairs.index((label, people[k % len(people)])) for k, label in enumerate(labels)]  # the subjects in turn
    (out / "contact_sheet.png").write_bytes(report.contact_sheet(table.take(shown)))
    history = list(csv.DictReader(io.StringIO((run / "history.csv").read_bytes().decode())))
    (out / "loss_curves.png").write_bytes(report.loss_curves(history))
    metrics = json.loads((run / "metrics.json").read_bytes())
    title = f"out-of-fold, macro-F1 {metrics['macro_f1']:.3f}"
    (out / "confusion_matrix.png").write_bytes(
        report.confusion_matrix(metrics["confusion"], runs.read_run(run).labels, title)
    )


def _say(step: str) -> None:
    print(f"demo: {step}", file=sys.stderr, flush=True)
