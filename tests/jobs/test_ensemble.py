"""If these fail, whoever combines runs does not learn what was chosen, why, how good it is and what it costs."""

import json
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sigflow import runs
from sigflow.bundle import CARD, read_bundle
from sigflow.ensemble import read_pool
from sigflow.export import Exported
from sigflow.pipelines.speed import milliseconds, sample_clips
from sigflow.recipes.recipe import override
from sigflow.storage import Location, locate

ROOT = Path(__file__).parents[2]
Job = Callable[..., tuple[int, str, str]]


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Job:
    """Exit code, last line of stdout, and stderr of `python jobs/ensemble.py ...`."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ensemble.py", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(ROOT / "jobs/ensemble.py"), run_name="__main__")
        said = capfd.readouterr()
        return int(str(stopped.value.code)), said.out.strip().splitlines()[-1] if said.out else "", said.err

    return run


@pytest.fixture
def pair(trained_run: Location, gesture_landmarks: Location, tmp_path: Path) -> list[Location]:
    """Two runs of two seeds, less sure than they might be, from which one subject is said to have been held out."""
    people = (gesture_landmarks / "landmarks").files(".parquet")[0].read_parquet()["subject"].to_pylist()
    places = [locate(tmp_path / f"seed{seed}") for seed in (0, 1)]
    for seed, place in enumerate(places):
        shutil.copytree(trained_run.uri, place.uri)
        run = runs.read_run(place)
        recipe = override(run.recipe, [f"train.seed={seed}"])
        changed = run.model_copy(update={"recipe": recipe, "holdout": (min(people),)})
        (place / "run.json").write_text(changed.model_dump_json())
        oof = runs.read_oof(place)
        unsure = [[(0.5 - 0.1 * seed) * p + (0.5 + 0.1 * seed) / 3 for p in row] for row in oof["probs"].to_pylist()]
        (place / "oof.parquet").write_parquet(oof.set_column(oof.schema.get_field_index("probs"), "probs", [unsure]))
    return places


@pytest.mark.slow
def test_the_answer_the_manifest_and_the_card_say_what_was_chosen(
    job: Job, pair: list[Location], tmp_path: Path
) -> None:
    code, out, err = job("--runs", *pair, "--out", tmp_path / "bundle", "--precisions", "fp32", "--max-ms", "1000")
    assert code == 0, err
    answer: dict[str, Any] = json.loads(out)
    bundle = read_bundle(locate(tmp_path / "bundle"))
    choice = bundle.manifest.metrics["choice"]
    assert answer["method"] == choice["method"]
    assert len(answer["members"]) == len(answer["weights"])
    assert sum(answer["weights"]) == pytest.approx(1)
    assert answer["nested"]["exported"] == bundle.manifest.metrics["oof"]["macro_f1"] >= answer["nested"]["single"]
    assert answer["temperature"] == bundle.manifest.temperature == choice["temperature"] != 1.0
    assert set(answer["ece_oof"]) == set(answer["ece_holdout"]) == {"before", "after"}
    held = bundle.manifest.metrics["holdout"]
    assert answer["ece_holdout"] == {"before": held["before_temperature"]["ece"], "after": held["ece"]}
    assert answer["ece_holdout"]["before"] != answer["ece_holdout"]["after"]
    assert 0 < answer["ms"] < 1000
    assert all(run["ms_alone"] > 0 for run in choice["runs"])
    assert max(answer["parity"].values()) < 1e-4
    card = (tmp_path / "bundle" / CARD).read_text()
    assert "## Choice of members" in card
    assert "| method gated (judged only) |" in card
    assert "| seed1 |" in card


@pytest.mark.slow
def test_a_limit_that_no_run_keeps_is_refused_before_anything_is_written(
    job: Job, pair: list[Location], tmp_path: Path
) -> None:
    code, _, err = job("--runs", pair[0], "--out", tmp_path / "bundle", "--max-ms", "0.0001")
    assert code == 2
    assert "ms a clip, and --max-ms is 0.0001; raise it, or train a smaller recipe" in err
    assert not (tmp_path / "bundle").exists()
    assert "--max-members" not in err


@pytest.mark.parametrize("flag", ["--max-members", "--max-ms"])
def test_a_limit_below_one_is_refused(job: Job, flag: str, tmp_path: Path) -> None:
    code, _, err = job("--runs", tmp_path, "--out", tmp_path / "bundle", flag, "0")
    assert code == 2
    assert "'0' is not a number above 0" in err


def test_a_graph_is_timed_on_clips_of_the_data(pair: list[Location], exported_run: Exported) -> None:
    clips = sample_clips(read_pool(pair))
    assert len(clips) == 16
    assert all(len(clip.lengths) == 1 and clip.lengths[0] >= 20 for clip in clips)
    assert min(milliseconds([exported_run.graph] * 2, clips)) > 0
