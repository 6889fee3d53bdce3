"""If these fail, one hostile video takes a job, or a server, down with it."""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sigflow.landmarks.assets import model_path
from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.isolation import IsolatedCamera, IsolatedExtractor, Limits
from sigflow.landmarks.synthetic import SUBJECTS, render_clip, write_video
from tests.landmarks.pictures import jpeg

MODELS = {"hands": model_path("hands")}


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 frames: long enough to be interrupted."""
    path = tmp_path_factory.mktemp("videos") / "wave.mp4"
    frames = render_clip(SUBJECTS[0], "wave", 0, num_frames=20).frames_THWC
    write_video(path, frames.repeat(8, axis=0), 25)
    return path


@pytest.fixture
def extractor() -> Iterator[IsolatedExtractor]:
    made = IsolatedExtractor(DetectorOptions(), MODELS, Limits(stalled_s=3))
    yield made
    made.close()


def row(source: Path, **given: Any) -> dict[str, Any]:
    empty = dict.fromkeys(
        ("label", "glosses", "subject", "split", "start_s", "end_s", "source_bytes", "source_modified_ms")
    )
    return {"clip_id": source.name, "source": str(source), **empty, **given}


def outcome(extractor: IsolatedExtractor, clip: dict[str, Any]) -> dict[str, Any]:
    ((kind, table),) = extractor.extract([clip])
    return {"kind": kind, **table.to_pylist()[0]}


def signal_child(extractor: IsolatedExtractor, number: signal.Signals) -> threading.Timer:
    """Send a signal when the child, which is running, is about in the middle of the next clip."""
    assert extractor.pid
    timer = threading.Timer(0.4, os.kill, (extractor.pid, number))
    timer.start()
    return timer


def test_a_crash_costs_its_clip_alone(extractor: IsolatedExtractor, long_video: Path) -> None:
    short = row(long_video, end_s=0.4)
    assert outcome(extractor, short)["num_frames"] == 10
    timer = signal_child(extractor, signal.SIGSEGV)
    crashed = outcome(extractor, row(long_video))
    timer.join()
    assert (crashed["kind"], crashed["stage"]) == ("quarantine", "crash")
    assert "signal 11" in crashed["error"]
    assert outcome(extractor, short)["num_frames"] == 10


def test_a_hang_ends(extractor: IsolatedExtractor, long_video: Path) -> None:
    outcome(extractor, row(long_video, end_s=0.1))
    timer = signal_child(extractor, signal.SIGSTOP)
    hung = outcome(extractor, row(long_video))
    timer.join()
    assert (hung["stage"], hung["error"]) == ("time_limit", "no new frame for 3 s")


def test_a_clip_that_takes_too_long_is_given_up(long_video: Path) -> None:
    extractor = IsolatedExtractor(DetectorOptions(), MODELS, Limits(seconds=0.5))
    assert outcome(extractor, row(long_video))["stage"] == "time_limit"
    extractor.close()


def test_a_clip_that_eats_memory_is_given_up(long_video: Path) -> None:
    extractor = IsolatedExtractor(DetectorOptions(), MODELS, Limits(memory_mb=60))
    assert outcome(extractor, row(long_video))["stage"] == "memory_limit"
    extractor.close()


def test_when_segments_go_down_together_each_is_tried_alone(extractor: IsolatedExtractor, long_video: Path) -> None:
    outcome(extractor, row(long_video, end_s=0.1))
    timer = signal_child(extractor, signal.SIGKILL)
    clips = [row(long_video, clip_id="a", end_s=3.0), row(long_video, clip_id="b", start_s=1.0)]
    kinds = {table["clip_id"][0].as_py(): kind for kind, table in extractor.extract(clips)}
    timer.join()
    assert kinds == {"a": "clip", "b": "clip"}


def test_no_process_is_left_behind(long_video: Path) -> None:
    extractor = IsolatedExtractor(DetectorOptions(), MODELS, Limits())
    outcome(extractor, row(long_video, end_s=0.1))
    pid = extractor.pid
    extractor.close()
    assert pid
    assert not psutil.pid_exists(pid)


def test_a_child_ends_with_its_parent(long_video: Path) -> None:
    extractor = IsolatedExtractor(DetectorOptions(), MODELS, Limits())
    outcome(extractor, row(long_video, end_s=0.1))
    child = extractor._child
    assert child is not None
    child._to.close()  # as when the parent's process is gone
    child._from.close()
    child.process.wait(10)
    child.kill()


def test_a_machine_that_cannot_extract_says_so_instead_of_quarantining_everything(long_video: Path) -> None:
    extractor = IsolatedExtractor(DetectorOptions(), {"hands": long_video}, Limits())
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="does not start"):
        list(extractor.extract([row(long_video)]))
    assert time.monotonic() - started < 60


def test_an_upload_is_read_as_a_file_is_and_nothing_of_it_stays(
    extractor: IsolatedExtractor, long_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kind, table = extractor.extract_bytes(long_video.read_bytes())
    ((_, read),) = extractor.extract([row(long_video)])
    assert kind == "clip"
    both = [each.drop_columns(["clip_id", "source"]) for each in (table, read)]
    assert both[0].equals(both[1])
    kind, _ = extractor.extract_bytes(long_video.read_bytes()[:1000])  # not what was held before, nor a part of it
    assert kind == "quarantine"
    child = extractor._child
    assert child is not None
    assert os.fstat(child._held.fileno()).st_size == 0
    assert not list(tmp_path.iterdir())  # it never had a name


def test_a_clip_is_given_up_when_its_caller_says_so(extractor: IsolatedExtractor, long_video: Path) -> None:
    outcome(extractor, row(long_video, end_s=0.1))
    asked = iter([False, False])
    ((kind, table),) = extractor.extract([row(long_video)], stopped=lambda: next(asked, True))
    assert (kind, table["stage"][0].as_py()) == ("quarantine", "stopped")
    assert extractor.pid is None


def test_a_cameras_process_that_dies_is_told_and_ends_nothing_else() -> None:
    picture = jpeg(render_clip(SUBJECTS[0], "wave", 0, num_frames=1).frames_THWC[0])
    camera = IsolatedCamera(DetectorOptions(), MODELS, Limits(), lambda: False)
    found = camera.look(picture, 0.0, False)
    assert found
    assert (found[0], found[1]["num_frames"].to_pylist()) == ("clip", [1])
    assert found[1]["right_hand"][0].as_py() != [None]
    camera._child.process.send_signal(signal.SIGSEGV)
    found = camera.look(picture, 0.1, False)
    assert found
    assert (found[0], found[1]["stage"].to_pylist()) == ("quarantine", ["crash"])
    camera.close()


def test_a_camera_that_is_given_up_while_it_starts_leaves_no_process() -> None:
    before = psutil.Process().children()
    with pytest.raises(RuntimeError, match="does not start"):
        IsolatedCamera(DetectorOptions(), MODELS, Limits(), lambda: True)
    assert psutil.Process().children() == before
