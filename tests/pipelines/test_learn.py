"""If these fail, a job learns from what was discarded, waits for what was seen, or says nothing of why it ended."""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sigflow.errors import UserError
from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.synthetic import SUBJECTS
from sigflow.pipelines import learn as module
from sigflow.pipelines.commit import read_state
from sigflow.pipelines.learn import learn
from sigflow.pipelines.stages import FILE, RECIPES, Job, new_job, read_job, write_job
from sigflow.recipes.catalogue import RECIPES as CATALOGUE
from sigflow.schema import LANDMARKS_DIR, models_for
from sigflow.storage import Location, locate

RECIPE = CATALOGUE["isolated_gestures"]
Recorded = Callable[..., Path]


@pytest.fixture
def record(tmp_path: Path, write_gestures: Callable[..., Location]) -> Recorded:
    """A folder in which clips were recorded, as the page leaves it: clips/, and what was seen in them.

    No video is real: whoever opened one would quarantine it.
    """

    def make(*, people: int = 1, takes: int = 5) -> Path:
        made = write_gestures(tmp_path / "made", subjects=SUBJECTS[:people], takes=takes)
        table = (made / LANDMARKS_DIR / "all.parquet").read_parquet()
        rows = table.to_pylist()
        sizes, times = [], []
        for number, row in enumerate(rows):
            file = tmp_path / "out/clips" / row["clip_id"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(bytes(number + 1))
            os.utime(file, (number + 1, number + 1))
            sizes.append(number + 1)
            times.append(1000 * (number + 1))
        changed: dict[str, list[Any]] = {
            "source_bytes": sizes, "source_modified_ms": times,
            "extractor": [DetectorOptions().fingerprint] * len(rows),
        }  # fmt: skip
        for name, values in changed.items():
            field = table.schema.field(name)
            table = table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))
        for number in range(len(rows)):
            (locate(tmp_path) / "out/seen/landmarks" / f"{number}.parquet").write_parquet(table.slice(number, 1))
        return tmp_path / "out"

    return make


def audited(out: Path, **more: Any) -> Job:
    return learn(locate(out / "clips"), locate(out), RECIPE, until="audit", **more)


def stored(out: Path) -> list[str]:
    return sorted(read_state(locate(out / "landmarks"))["clip_id"].to_pylist())


def test_what_was_seen_in_recording_is_learnt_from_at_once(record: Recorded) -> None:
    out = record(people=3, takes=2)
    job = audited(out)
    assert (job.state, job.result, [stage.state for stage in job.stages]) == ("done", None, ["done", "done"])
    assert (job.stages[0].done, job.stages[0].of) == (18, 18)
    assert len(stored(out)) == 18
    assert not list((out / "seen/landmarks").iterdir())
    errors = {found.code for found in job.findings if found.severity == "error"}
    assert {"small_test_fold", "too_many_parameters"} <= errors
    assert "not_subject_independent" not in {found.code for found in job.findings}
    assert json.loads((out / FILE).read_bytes()) == job.model_dump(mode="json")


def test_what_was_discarded_is_not_learnt_from(record: Recorded) -> None:
    out = record(people=3, takes=2)
    audited(out)
    before = stored(out)
    (out / "clips" / before[0]).unlink()
    audited(out)
    assert stored(out) == before[1:]


def test_a_clip_that_was_recorded_anew_is_there_once(record: Recorded) -> None:
    out = record(people=3, takes=2)
    seen = {file.name: file.read_bytes() for file in (out / "seen/landmarks").iterdir()}
    audited(out)
    before = stored(out)
    for name, content in seen.items():
        (out / "seen/landmarks" / name).write_bytes(content)
    audited(out)
    assert stored(out) == before


@pytest.mark.parametrize(("people", "independent"), [(1, False), (2, False), (3, True)])
def test_folds_are_by_person_as_soon_as_there_are_people_enough(
    record: Recorded, people: int, independent: bool
) -> None:
    job = audited(record(people=people, takes=5))
    said = [found.message for found in job.findings if found.code == "not_subject_independent"]
    assert bool(said) is not independent
    assert independent or "random:5" in said[0]


def test_a_job_that_cannot_go_on_says_so_in_one_line_and_without_paths(record: Recorded, tmp_path: Path) -> None:
    out = record(people=2, takes=2)
    with pytest.raises(UserError, match="record at least 5 of each label"):
        audited(out)
    job = read_job(locate(out))
    assert job
    assert (job.state, job.stages[1].state) == ("failed", "failed")
    assert "has 4 clips" in str(job.error)
    with pytest.raises(UserError, match="does not exist"):
        learn(locate(tmp_path / "nowhere"), locate(out), RECIPE, until="audit")
    job = read_job(locate(out))
    assert job
    assert (job.state, [stage.state for stage in job.stages]) == ("failed", ["waiting", "waiting"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError):
        learn(locate(tmp_path / "empty"), locate(tmp_path / "empty"), RECIPE, until="audit")
    job = read_job(locate(tmp_path / "empty"))
    assert job
    assert str(tmp_path / "empty/") not in str(job.error)


def test_two_jobs_do_not_work_on_one_folder_and_one_that_was_killed_blocks_nobody(
    record: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAY_EVERY_S", 0.2)
    out, over = record(people=3, takes=2), threading.Event()
    write_job(locate(out), new_job("other", "bundle"))

    def live() -> None:
        for number in range(10_000):
            job = new_job("other", "bundle")
            write_job(locate(out), job.model_copy(update={"error": str(number)}))
            if over.wait(0.1):
                return

    thread = threading.Thread(target=live)
    thread.start()
    try:
        with pytest.raises(UserError, match="another job is at work"):
            audited(out)
    finally:
        over.set()
        thread.join()
    began = time.monotonic()
    assert audited(out).state == "done"
    assert time.monotonic() - began >= 1.0, "it looked whether the other one lives"


def test_the_page_offers_what_the_catalogue_can_learn_from_labelled_videos() -> None:
    able = [name for name, recipe in CATALOGUE.items() if models_for(recipe.parts) and not recipe.sentences]
    assert sorted(RECIPES) == sorted(able)
