"""`make bench`: speed as ratios measured in one run. Prints JSON; what each figure means stands beside it.

Start-up is measured apart: each way of extracting is timed from its first committed or finished frame on, by running it
over a few clips first and over all afterwards.
"""

import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
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
    """The script that anyone would write: decode, detect, keep."""
    paths = {"hands": model_path("hands")}
    kept: list[Any] = []
    with Detector(OPTIONS, paths) as detector:
        for frame in read_frames(path, Sampling()):
            kept.append(detector.detect(frame.rgb_HWC, frame.time_ms))
    return len(kept)


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
    """--max-hands 1 against 2 where one hand is seen: time, and how far the landmarks move, in % of the palm."""
    files = [str(path) for path in sorted(videos.rglob("*.mp4"))][::12]
    paths = {"hands": model_path("hands")}
    seen: dict[int, list[np.ndarray]] = {1: [], 2: []}

    def run(hands: int) -> int:
        for file in files:
            with Detector(OPTIONS.model_copy(update={"num_hands": hands}), paths) as detector:
                for frame in read_frames(file, Sampling()):
                    found = detector.detect(frame.rgb_HWC, frame.time_ms).hands
                    seen[hands].append(found[0].image_P3[:, :2] if found else np.full((21, 2), np.nan))
        return len(seen[hands])

    two, one = timed(lambda: run(2)), timed(lambda: run(1))
    both, single = np.stack(seen[2]), np.stack(seen[1])
    palm = np.linalg.norm(both[:, 9] - both[:, 0], axis=-1)
    moved = 100 * np.linalg.norm(both - single, axis=-1).mean(1) / palm
    return {
        "speed_up": round(one["frames_per_s"] / two["frames_per_s"], 2),
        "moved_percent_of_palm": {
            "median": round(float(np.nanmedian(moved)), 3),
            "p99": round(float(np.nanpercentile(moved, 99)), 2),
        },
        "found_by_one_alone": int((np.isnan(both[:, 0, 0]) != np.isnan(single[:, 0, 0])).sum()),
    }


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
    everything = extract(locate(videos), locate(root / "landmarks"), OPTIONS)
    ray.shutdown()
    # Both paid the start of the workers: the difference of the two is work alone.
    frames = everything["frames"] - few["frames"]
    seconds = everything["seconds"] - few["seconds"]
    start_up = few["seconds"] - few["frames"] * seconds / frames
    return {
        "frames": frames,
        "frames_per_s": round(frames / seconds, 1),
        "start_up_s": round(start_up, 1),
    }


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
