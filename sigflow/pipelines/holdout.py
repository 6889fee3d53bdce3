"""What graphs say of the subjects that no run has seen, and which of two is exported by that.

Shape suffixes: N clips, K classes.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from sigflow.decoding import ctc_greedy
from sigflow.ensemble import Ensemble
from sigflow.experiments.compare import accuracy_difference, wer_difference
from sigflow.metrics import classification, edit_distance, f1_difference, tempered, transcription
from sigflow.pipelines.material import Material
from sigflow.pipelines.precisions import all_probs
from sigflow.predictor import Predictor

# How much worse (macro-F1; WER) a refit may be than the fold models that it takes the place of, for being as many times
# smaller and faster as they are. A test would let through what few clips cannot show to be worse.
MARGIN = 0.01
_HEADLINE = ("accuracy", "macro_f1", "wer", "ece", "log_loss")


def measured(ensemble: Ensemble, material: Material, predictor: Predictor) -> dict[str, Any]:
    """The holdout's figures, through the exported graph."""
    found = _figures(ensemble, material, all_probs(predictor, material.inputs(material.unseen)))
    plain = found.get("before_temperature", found).get("ece")
    if plain is not None and plain < found["ece"]:
        print(
            f"warning: of the holdout subjects the temperature raises ECE, {plain:.4f} to {found['ece']:.4f}",
            file=sys.stderr,
        )
    return found


def shown(metrics: dict[str, Any]) -> dict[str, Any]:
    """What a bundle tells of itself."""
    wanted = (
        "clips", "accuracy", "macro_f1", "wer", "blank_ratio", "ece", "log_loss", "per_class", "per_gloss",
        "per_subject",
    )  # fmt: skip
    return {key: metrics[key] for key in wanted if key in metrics}


def judged(ensemble: Ensemble, material: Material, folds: Predictor, refit: Predictor) -> dict[str, Any]:
    """Fold models and the models that were trained on all clips, on the holdout, as plain JSON; whether the latter are
    `exported`: where their score is worse by no more than `margin`.

    `difference` and `tests`: the refit's figures minus those of the fold models.
    """
    inputs, score = material.inputs(material.unseen), ensemble.members[0].run.recipe.score
    each = [all_probs(predictor, inputs) for predictor in (folds, refit)]
    figures = [_figures(ensemble, material, probs) for probs in each]
    difference = figures[1][score] - figures[0][score]
    return {
        "exported": (difference if score == "wer" else -difference) <= MARGIN + 1e-9,
        "score": score,
        "margin": MARGIN,
        "difference": difference,
        "clips": figures[0]["clips"],
        **{
            name: {key: its[key] for key in _HEADLINE if key in its}
            for name, its in zip(("folds", "refitted"), figures, strict=True)
        },
        "tests": _tests(ensemble, material, *each),
    }


def _tests(
    ensemble: Ensemble, material: Material, first: Sequence[np.ndarray], other: Sequence[np.ndarray]
) -> list[dict[str, Any]]:
    people, true = _people(material), [material.true[row] for row in material.unseen]
    if ensemble.members[0].run.recipe.sentences:
        edits = [
            [edit_distance(a, ctc_greedy(b)) for a, b in zip(true, probs, strict=True)] for probs in (first, other)
        ]
        return [wer_difference(edits[0], edits[1], [len(sentence) for sentence in true], people)]
    true_N, first_N, other_N = np.array(true)[:, 0], np.array(first).argmax(1), np.array(other).argmax(1)
    return [
        accuracy_difference(first_N == true_N, other_N == true_N, people),
        f1_difference(true_N, first_N, other_N, len(ensemble.labels), people),
    ]


def _people(material: Material) -> list[str | None]:
    subjects = material.clips.column("subject")
    return [subjects[row] for row in material.unseen]


def _figures(ensemble: Ensemble, material: Material, probs: list[np.ndarray]) -> dict[str, Any]:
    true, people = [material.true[row] for row in material.unseen], _people(material)
    if ensemble.members[0].run.recipe.sentences:
        return shown(transcription(probs, true, ensemble.labels, people))
    probs_NK, true_N = np.array(probs), np.array(true)[:, 0]
    found = shown(classification(probs_NK, true_N, ensemble.labels, people))
    if ensemble.temperature == 1.0:
        return found
    plain = classification(tempered(probs_NK, 1 / ensemble.temperature), true_N, ensemble.labels, people)
    return found | {"before_temperature": {name: plain[name] for name in ("log_loss", "ece")}}
