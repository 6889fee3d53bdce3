"""`make bench`: speed as ratios measured in one run. Prints JSON; what each figure means stands beside it.

Start-up is measured apart: each way of extracting is timed from its first committed or finished frame on, by running it
over a few clips first and over all afterwards.
"""

import json
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

from sigflow.landmarks.assets import model_path
from sigflow.landmarks.detector import Detector, DetectorOptions
from sigflow.landmarks.isolation import IsolatedExtractor, Limits
from sigflow.landmarks.synthetic import SUBJECTS, render_clip, write_sample_set
from sigflow.landmarks.video import Sampling, read_frames
from sigflow.storage import locate

OPTIONS = DetectorOptions()
POOL = 2


def main() -> None:
    """Extraction: frames/s of (a) one process, (b) a pool of two, (c) the job; memory; size of the files."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        videos = write_sample_set(root / "videos", takes=5)  # 240 clips
        figures = {
            "extraction": extraction(videos, root),
            "one_hand": one_hand(videos),
            "size": size(root / "landmarks"),
            "memory": memory(root),
        }
    print(json.dumps(figures, indent=1))


def plain(path: str) -> int:
    """The script that anyone would write: decode, let MediaPipe follow two hands, keep what it says."""
    with Detector(OPTIONS.model_copy(update={"look_every_s": 0.0}), {"hands": model_path("hands")}) as detector:
        for frame in read_frames(path, Sampling()):
            detector.add(frame.rgb_HWC, frame.time_ms)
        return len(detector.finish())


def extraction(videos: Path, root: Path) -> dict[str, Any]:
    """Each over all clips, in turn; `cpu_ms_per_frame` counts the processes and their children."""
    files = [str(path) for path in sorted(videos.rglob("*.mp4"))]
    plain(files[0])
    figures: dict[str, Any] = {"clips": len(files)}
    figures["a_one_process"] = timed(lambda: sum(map(plain, files[::4])))
    with ProcessPoolExecutor(POOL, mp_context=get_context("spawn")) as pool:
        list(pool.map(plain, files[: 4 * POOL]))  # start-up
        figures["b_pool_of_two"] = timed(lambda: sum(pool.map(plain, files)), children=True)
    figures["c_this_job"] = job(videos, root)
    b = figures["b_pool_of_two"]["frames_per_s"]
    figures["c_over_b"] = round(figures["c_this_job"]["frames_per_s"] / b, 3)
    return figures


def one_hand(videos: Path) -> dict[str, Any]:
    """What is not done where one hand is seen: time saved, and how far the landmarks move, in % of the palm."""
    files = [str(path) for path in sorted(videos.rglob("*.mp4"))][::12]
    paths = {"hands": model_path("hands")}
    plain_options = OPTIONS.model_copy(update={"look_every_s": 0.0})
    ways = {
        "plain": plain_options,
        "default": OPTIONS,
        "max_hands_1": OPTIONS.model_copy(update={"num_hands": 1}),
    }
    seen: dict[str, list[np.ndarray]] = {way: [] for way in ways}

    def run(way: str) -> int:
        for file in files:
            with Detector(ways[way], paths) as detector:
                for frame in read_frames(file, Sampling()):
                    detector.add(frame.rgb_HWC, frame.time_ms)
                for frame_seen in detector.finish():
                    hands = frame_seen.hands
                    seen[way].append(hands[0].image_P3[:, :2] if hands else np.full((21, 2), np.nan))
        return len(seen[way])

    speed = {way: timed(partial(run, way)) for way in ways}
    both = np.stack(seen["plain"])
    palm = np.linalg.norm(both[:, 9] - both[:, 0], axis=-1)
    figures: dict[str, Any] = {}
    for way in ("default", "max_hands_1"):
        found = np.stack(seen[way])
        moved = 100 * np.linalg.norm(both - found, axis=-1).mean(1) / palm
        figures[way] = {
            "speed_up": round(speed[way]["frames_per_s"] / speed["plain"]["frames_per_s"], 2),
            "moved_percent_of_palm": {
                "median": round(float(np.nanmedian(moved)), 3),
                "p99": round(float(np.nanpercentile(moved, 99)), 2),
            },
            "found_by_one_alone": int((np.isnan(both[:, 0, 0]) != np.isnan(found[:, 0, 0])).sum()),
        }
    return figures


def timed(work: Any, *, children: bool = False) -> dict[str, float]:
    """Frames/s and CPU of a call that gives its number of frames."""
    who = [psutil.Process(), *(psutil.Process().children(recursive=True) if children else [])]
    cpu = sum(sum(process.cpu_times()[:2]) for process in who)
    start = time.perf_counter()
    frames = work()
    seconds = time.perf_counter() - start
    cpu = sum(sum(process.cpu_times()[:2]) for process in who) - cpu
    return {
        "frames": frames,
        "frames_per_s": round(frames / seconds, 1),
        "cpu_ms_per_frame": round(1000 * cpu / frames, 2),
    }


def job(videos: Path, root: Path) -> dict[str, float]:
    """The job's own stages on a cluster of two CPUs that runs already; its workers' start-up apart."""
    import ray

    from sigflow.pipelines.extract import extract

    ray.init(address="local", num_cpus=POOL, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    few = extract(locate(videos / SUBJECTS[0].name), locate(root / "few"), OPTIONS)
    with _Cpu() as cpu:
        everything = extract(locate(videos), locate(root / "landmarks"), OPTIONS)
    ray.shutdown()
    # Both paid the start of the workers: the difference of the two is work alone.
    frames = everything["frames"] - few["frames"]
    seconds = everything["seconds"] - few["seconds"]
    start_up = few["seconds"] - few["frames"] * seconds / frames
    return {
        "frames": frames,
        "frames_per_s": round(frames / seconds, 1),
        "cpu_ms_per_frame": round(1000 * cpu.seconds / everything["frames"], 2),  # start-up and all of Ray included
        "start_up_s": round(start_up, 1),
    }


class _Cpu:
    """CPU seconds of this process and all below it, those included that end before it does (as of their last look)."""

    def __enter__(self) -> "_Cpu":
        self._before = self._now()
        self._latest = dict(self._before)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.seconds = sum(cpu - self._before.get(who, 0.0) for who, cpu in self._latest.items())

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            self._latest |= self._now()

    @staticmethod
    def _now() -> dict[tuple[int, float], float]:
        seconds = {}
        for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
            with suppress(psutil.Error):
                seconds[process.pid, process.create_time()] = sum(process.cpu_times()[:2])
        return seconds


def size(landmarks: Path) -> dict[str, float]:
    """Bytes of the Parquet hands against the same frames in npy: all 1662 numbers, and the hands' 126 alone."""
    from sigflow.data.clips import load_clips

    frames = len(load_clips(locate(landmarks), ("left_hand", "right_hand")).time_s_S)
    stored = sum(path.stat().st_size for path in landmarks.rglob("*.parquet"))
    return {
        "bytes_per_frame": round(stored / frames, 1),
        "smaller_than_1662_float64": round(frames * 1662 * 8 / stored, 1),
        "smaller_than_hands_float64": round(frames * 126 * 8 / stored, 2),
    }


def memory(root: Path) -> dict[str, float]:
    """Peak resident MB of the extracting process on 2,000 frames of 1080p."""
    path = root / "long.mp4"
    frame = np.zeros((1080, 1920, 3), np.uint8)
    hand = render_clip(SUBJECTS[0], "wave", 0, num_frames=20).frames_THWC
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for number in range(2000):
            frame[:960, :1280] = hand[number % 20].repeat(4, axis=0).repeat(4, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    extractor = IsolatedExtractor(OPTIONS, {"hands": model_path("hands")}, Limits())
    clip = {
        **dict.fromkeys(("label", "glosses", "subject", "split", "start_s", "end_s")),
        "clip_id": "long",
        "source": str(path),
    }
    start = time.perf_counter()
    ((kind, table),) = extractor.extract([clip])
    seconds = time.perf_counter() - start
    peak = Path(f"/proc/{extractor.pid}/status").read_text().split("VmHWM:")[1].split()[0]
    extractor.close()
    assert kind == "clip"
    return {
        "frames": table["num_frames"][0].as_py(),
        "peak_mb": round(int(peak) / 1024, 1),
        "frames_per_s": round(2000 / seconds, 1),
    }


if __name__ == "__main__":
    main()
