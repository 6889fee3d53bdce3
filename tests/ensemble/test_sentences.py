"""If these fail, sentences are voted on by runs that make them worse, or are chosen by figures of single classes.

Shape suffixes: T frames, K classes.
"""

import numpy as np
import pyarrow as pa
import pytest

from sigflow import runs
from sigflow.ensemble import Pool, choose
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.storage import locate

LABELS = ("(blank)", "cat", "dog", "eat", "go")
CLIPS = 60


def sentence(glosses: list[int], errors: float, rng: np.random.Generator) -> np.ndarray:
    """(T, K): three frames of each gloss, one of blank; a gloss is taken for another one with probability `errors`."""
    given = [int(rng.integers(1, len(LABELS))) if rng.random() < errors else gloss for gloss in glosses]
    frames = [k for gloss in given for k in (0, gloss, gloss, gloss)]
    frames_TK: np.ndarray = 0.75 * np.eye(len(LABELS))[frames] + 0.05 + 0.01 * rng.random((len(frames), len(LABELS)))
    return frames_TK / frames_TK.sum(1, keepdims=True)


@pytest.fixture
def pool() -> Pool:
    """Three runs that each err in about a sixth of the glosses, and one that knows nothing."""
    rng = np.random.default_rng(0)
    true = [rng.integers(1, len(LABELS), rng.integers(2, 5)).tolist() for _ in range(CLIPS)]
    clips = pa.table(
        {
            "clip_id": [f"{row:03}" for row in range(CLIPS)],
            "fold": pa.array([row * 4 // CLIPS for row in range(CLIPS)], pa.int32()),
            "label": [" ".join(LABELS[k] for k in glosses) for glosses in true],
            "subject": [f"s{row * 4 // CLIPS}" for row in range(CLIPS)],
        }
    )
    each = [[sentence(glosses, errors, rng) for glosses in true] for errors in (1.0, 0.2, 0.2, 0.2)]
    recipe = find_recipe("continuous_signs")
    given = tuple(
        runs.Run(
            recipe=override(recipe, [f"train.seed={seed}"]), data="d", data_fingerprint="d", extractor="made",
            labels=LABELS, num_folds=4, folds_spec="4", folds_fingerprint="f", holdout=(), subject_independent=True,
        )
        for seed in range(4)
    )  # fmt: skip
    offsets = np.cumsum([0, *(len(clip) for clip in each[0])])
    places = tuple(locate(f"runs/{number}") for number in range(4))
    return Pool(places, given, clips, tuple(np.concatenate(clips) for clips in each), offsets)


def test_runs_are_chosen_by_word_error_rate_and_keep_their_probabilities(pool: Pool) -> None:
    ensemble = choose(pool)
    nested = ensemble.choice["nested"]
    assert ensemble.choice["score"] == "wer"
    assert "0" not in {member.place.name for member in ensemble.members}
    assert len(ensemble.members) == 3
    assert ensemble.metrics["wer"] == pytest.approx(nested["exported"]["wer"])
    assert nested["exported"]["wer"] < nested["single"]["wer"] - 0.03
    assert nested["single"]["wer"] == ensemble.best_single
    assert ensemble.choice["mean_single"] > 0.2
    assert set(nested["methods"]) == {"average", "greedy", "gated"}  # frames have no right class to weigh runs by
    assert ensemble.temperature == 1.0
    lengths = [len(row) // len(LABELS) for row in ensemble.oof["probs"].to_pylist()]
    assert lengths == np.diff(pool.offsets).tolist()


def test_the_best_of_sentences_is_the_one_with_the_fewest_errors(pool: Pool) -> None:
    worst_and_one = Pool(pool.places[:2], pool.runs[:2], pool.clips, pool.probs[:2], pool.offsets)
    ensemble = choose(worst_and_one)
    assert [member.place.name for member in ensemble.members] == ["1"]
    assert ensemble.choice["runs"][0]["weight"] == 0
