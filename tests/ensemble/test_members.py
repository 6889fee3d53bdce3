"""If these fail, an ensemble votes with models of other data, or its score is not that of the averaged votes."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sigflow import runs
from sigflow.ensemble import average
from sigflow.errors import UserError
from sigflow.recipes.recipe import override
from sigflow.storage import Location, locate


@pytest.fixture
def other_run(trained_run: Location, tmp_path: Path) -> Location:
    """A second run on the same folds whose predictions stand in another order, and are others."""
    shutil.copytree(trained_run.uri, tmp_path / "second")
    place = locate(tmp_path / "second")
    run = runs.read_run(place)
    recipe = override(run.recipe, ["train.seed=1"])
    (place / "run.json").write_text(run.model_copy(update={"recipe": recipe}).model_dump_json())
    oof = runs.read_oof(place)
    probs = np.random.default_rng(0).dirichlet(np.ones(3), len(oof)).astype(np.float32)
    with_probs(place, oof, probs, order=range(len(oof))[::-1])
    return place


def with_probs(place: Location, oof: pa.Table, probs: np.ndarray, order: range) -> None:
    ids, labels, subjects = (oof[name].to_pylist() for name in ("clip_id", "label", "subject"))
    table = runs.predictions_table(ids, 0, labels, subjects, list(probs))
    (place / "oof.parquet").write_parquet(table.take(list(order)))


def change(place: Location, **values: object) -> None:
    (place / "run.json").write_text(runs.read_run(place).model_copy(update=values).model_dump_json())


def test_one_run_alone_keeps_its_own_predictions_and_score(trained_run: Location) -> None:
    ensemble = average([trained_run])
    (member,) = ensemble.members
    assert (member.place, member.weight) == (trained_run, 1.0)
    oof = runs.read_oof(trained_run).sort_by("clip_id")
    assert ensemble.oof["probs"].to_pylist() == oof["probs"].to_pylist()
    assert (
        ensemble.metrics["macro_f1"]
        == ensemble.best_single
        == runs.oof_metrics(oof, ensemble.members[0].run)["macro_f1"]
    )


def test_members_vote_with_equal_weight_clip_by_clip(trained_run: Location, other_run: Location) -> None:
    ensemble = average([trained_run, other_run])
    assert [member.weight for member in ensemble.members] == [0.5, 0.5]
    tables = [runs.read_oof(place).to_pylist() for place in (trained_run, other_run)]
    votes = [{row["clip_id"]: np.array(row["probs"]) for row in table} for table in tables]
    for row in ensemble.oof.to_pylist():
        expected = (votes[0][row["clip_id"]] + votes[1][row["clip_id"]]) / 2
        assert np.allclose(row["probs"], expected, atol=1e-6)
        assert row["label"] == row["clip_id"].split("/")[1]
    singles = [
        runs.oof_metrics(runs.read_oof(p), ensemble.members[0].run)["macro_f1"] for p in (trained_run, other_run)
    ]
    assert ensemble.best_single == max(singles)
    assert ensemble.metrics["macro_f1"] == runs.oof_metrics(ensemble.oof, ensemble.members[0].run)["macro_f1"]


@pytest.mark.parametrize(
    "values",
    [{"labels": ("a", "b", "c")}, {"folds_fingerprint": "other"}, {"extractor": "other"}],
    ids=lambda values: next(iter(values)),
)
def test_runs_of_other_classes_folds_or_extractors_do_not_vote_together(
    trained_run: Location, other_run: Location, values: dict[str, object]
) -> None:
    change(other_run, **values)
    with pytest.raises(UserError, match="was not trained on the clips and folds of"):
        average([trained_run, other_run])


def test_runs_of_other_clips_that_happen_to_fall_into_the_same_rows_do_not_vote_together(
    trained_run: Location, other_run: Location
) -> None:
    oof = runs.read_oof(other_run)
    renamed = pa.array([f"elsewhere/{clip_id}" for clip_id in oof["clip_id"].to_pylist()])
    (other_run / "oof.parquet").write_parquet(oof.set_column(0, "clip_id", renamed))
    with pytest.raises(UserError, match="was not trained on the clips and folds of"):
        average([trained_run, other_run])


def test_runs_of_clips_that_were_labelled_anew_do_not_vote_together(trained_run: Location, other_run: Location) -> None:
    oof = runs.read_oof(other_run)
    labels = oof["label"].to_pylist()
    labels[0] = next(label for label in labels if label != labels[0])
    (other_run / "oof.parquet").write_parquet(oof.set_column(2, "label", pa.array(labels)))
    with pytest.raises(UserError, match="was not trained on the clips and folds of"):
        average([trained_run, other_run])


def test_a_run_given_twice_gets_no_second_vote(trained_run: Location, tmp_path: Path) -> None:
    shutil.copytree(trained_run.uri, tmp_path / "copy")
    with pytest.raises(UserError, match=r"first and .*copy are the same run, with the same answers; give it once"):
        average([trained_run, locate(tmp_path / "copy")])


def test_an_unfinished_run_does_not_vote(trained_run: Location, other_run: Location) -> None:
    (Path(other_run.uri) / "metrics.json").unlink()
    with pytest.raises(UserError, match="second is not finished"):
        average([trained_run, other_run])
