"""If these fail, a model is trained on labels that are lacking, alike, or impossible to spell."""

from dataclasses import replace

import numpy as np
import pytest

from sigflow.audit import audit, make_plan
from sigflow.data.clips import Clips
from sigflow.data.folds import UNLABELLED
from sigflow.models.bilstm import BilstmConfig
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import Recipe, override
from tests.audit.conftest import Find
from tests.audit.spoil import rows_of, with_column

SENTENCES = override(
    find_recipe("continuous_signs"),
    ['frontend.features=[{"kind": "hand"}]', "model.projection=null", "model.hidden=[16]"],  # 234 clips are few
)


def test_clips_without_a_label_are_named_and_left_out(good: Clips) -> None:
    labels = [None if row == 5 else name for row, name in enumerate(good.column("label"))]
    plan = make_plan(find_recipe("isolated_gestures"), with_column(good, "label", labels))
    finding = next(finding for finding in audit(plan) if finding.code == "missing_labels")
    assert finding.severity == "error"
    assert str(good.column("clip_id")[5]) in finding.evidence
    assert len(plan.clips) == len(good) - 1


def test_unlabelled_clips_of_the_holdout_are_named_too_and_never_learnt_from(good: Clips) -> None:
    subjects = good.column("subject")
    away, home = subjects.index("ada"), subjects.index("bo")
    labels = [None if row in (away, home) else name for row, name in enumerate(good.column("label"))]
    plain = find_recipe("isolated_gestures")
    recipe = override(
        plain.model_copy(update={"model": BilstmConfig(per_frame=False)}), ["pretraining.masked_epochs=2"]
    )
    plan = make_plan(recipe, with_column(good, "label", labels), holdout=["ada"])
    finding = next(finding for finding in audit(plan) if finding.code == "missing_labels")
    for row in (away, home):
        assert str(good.column("clip_id")[row]) in finding.evidence
    assert plan.pretrained_on is not None
    assert plan.pretrained_on.column("clip_id") == [good.column("clip_id")[home]]
    ids = [str(name) for name in plan.clips.column("clip_id")]
    roles = plan.folds.table(ids, plan.pretrained_on.column("clip_id")).to_pylist()
    assert {row["fold"] for row in roles if row["role"] == UNLABELLED} == set(range(5))
    without = make_plan(plain, with_column(good, "label", labels), holdout=["ada"])
    assert without.pretrained_on is None
    assert without.fingerprint != plan.fingerprint


def test_a_train_part_with_one_label_is_an_error(good: Clips, find: Find) -> None:
    names = good.column("label")
    split = ["train" if name == "pinch" else ("val", "test")[row % 2] for row, name in enumerate(names)]
    found = find(with_column(good, "split", split), folds="split")
    assert found["constant_labels"].severity == "error"
    assert "pinch" in found["constant_labels"].evidence


def test_imbalance_is_a_warning_unless_the_loss_weighs_classes(good: Clips, find: Find) -> None:
    pinch = rows_of(good, label="pinch")
    rows = sorted(set(range(len(good))) - set(pinch[7:]))
    found = find(good.select(rows), folds="random:3")
    assert found["class_imbalance"].severity == "warning"
    assert "pinch 7, 11 times fewer" in found["class_imbalance"].evidence
    weighted = override(find_recipe("isolated_gestures"), ["loss.class_weights=true"])
    assert find(good.select(rows), weighted, folds="random:3")["class_imbalance"].severity == "info"


def sentences(good: Clips, glosses: list[list[str]], recipe: Recipe = SENTENCES) -> dict[str, str]:
    plan = make_plan(recipe, with_column(good, "glosses", glosses))
    return {finding.code: finding.severity for finding in audit(plan)}


@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_sentences_are_audited_and_may_have_a_rare_gloss(good: Clips) -> None:
    glosses = [[str(name), "again"] for name in good.column("label")]
    assert "error" not in sentences(good, glosses).values()
    glosses[0] = ["pinch", "once"]
    found = sentences(good, glosses)
    assert found["lonely_test_class"] == "warning"
    assert "error" not in found.values()


@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_glosses_that_do_not_fit_into_the_frames_are_found(good: Clips) -> None:
    glosses = [[str(name), "again"] for name in good.column("label")]
    # Equal neighbours need a blank between them: 16 glosses, 31 frames.
    glosses[0] = ["again"] * 16
    assert sentences(good, glosses)["targets_too_long"] == "warning"
    assert (
        sentences(good, [["again", "and"] * 20] * len(good) if False else [g * 20 for g in glosses])["targets_too_long"]
        == "error"
    )


def test_outputs_that_only_the_holdout_has_are_unseen(good: Clips) -> None:
    plan = make_plan(find_recipe("isolated_gestures"), good)
    found = {f.code: f for f in audit(replace(plan, labels=(*plan.labels, "bow"), folds=plan.folds))}
    assert found["unseen_outputs"].severity == "error"
    assert "1 of 4 outputs have no clip (bow)" in found["unseen_outputs"].evidence
    assert np.all(plan.inside)
