"""If these fail, a job ends for want of shared memory although there is a disk, or costs another job what it keeps."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sigflow.data.clips import load_clips
from sigflow.schema import LANDMARKS_DIR
from sigflow.storage import Location, locate
from tests.integration.chaos.conftest import SHORT, STORE_MB, Start
from tests.integration.conftest import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PARTS = ("left_hand", "right_hand")
PIECES = 40  # of 4 MB: twice what the store holds
HOG = """
import sys
import numpy as np, ray
ray.init(log_to_driver=False)
kept = [ray.put(np.full(4 << 20, number, np.uint8)) for number in range(int(sys.argv[1]))]
print("kept", flush=True)
input()
print(sum(bool((ray.get(each) == number).all()) for number, each in enumerate(kept)), flush=True)
"""


@pytest.fixture
def many(gesture_landmarks: Location, tmp_path: Path) -> Callable[[int], tuple[Location, int]]:
    """The gestures, again and again with other noise, until landmarks are so many MB; and how many clips that are."""
    table = (gesture_landmarks / LANDMARKS_DIR / "all.parquet").read_parquet()
    each = load_clips(gesture_landmarks, PARTS).nbytes
    rng = np.random.default_rng(0)

    def noisy(column: pa.ChunkedArray) -> pa.Array:
        lists = column.combine_chunks()
        points = lists.values
        values = points.values.to_numpy(zero_copy_only=False)
        moved = pa.array(values + rng.normal(0, 0.002, values.shape).astype(np.float32))
        points = pa.FixedSizeListArray.from_arrays(moved, type=points.type, mask=points.is_null())
        return pa.ListArray.from_arrays(lists.offsets, points, type=lists.type)

    def make(size_mb: int) -> tuple[Location, int]:
        place, times = locate(tmp_path / "data"), (size_mb << 20) // each + 1
        ids = table["clip_id"].to_pylist()
        for time in range(times):
            columns = {name: table[name] for name in table.column_names}
            columns["clip_id"] = pa.array([f"{clip_id}#{time}" for clip_id in ids])
            columns |= {part: noisy(table[part]) for part in PARTS}
            (place / LANDMARKS_DIR / f"{time}.parquet").write_parquet(pa.table(columns, schema=table.schema))
        return place, times * len(ids)

    return make


@pytest.fixture
def hog(small: Cluster) -> Iterator[subprocess.Popen[str]]:
    """Another job, which keeps twice as much in the object store as that holds."""
    command = [sys.executable, "-c", HOG, str(PIECES)]
    process = subprocess.Popen(
        command, env=small.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "kept\n"
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    "size_mb", [pytest.param(STORE_MB // 2, id="shared"), pytest.param(STORE_MB, id="too large to be shared")]
)
def test_a_full_store_is_no_end(
    small: Cluster,
    hog: subprocess.Popen[str],
    many: Callable[[int], tuple[Location, int]],
    size_mb: int,
    start: Start,
    said: Path,
    tmp_path: Path,
) -> None:
    assert list(small.folder.rglob("ray_spilled_objects_*/*"))
    data, clips = many(size_mb)
    words = ("--recipe", "isolated_gestures", "--data", data, "--out", tmp_path / "run", "--folds", "2", *SHORT)
    driver = start("train", *words, "--set", "train.epochs=2", "--force", "too_many_parameters,copied_clips")
    assert driver.wait(280) == 0, said.read_text()
    tested = pq.read_table(tmp_path / "run/oof.parquet")["clip_id"].to_pylist()
    assert len(tested) == len(set(tested)) == clips
    whole, _ = hog.communicate("\n", timeout=120)
    assert whole == f"{PIECES}\n"  # what the other job kept is there to the last byte
