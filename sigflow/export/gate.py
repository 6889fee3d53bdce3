"""Whether a graph of lower precision may be served: its answers beside those of fp32, on the same clips.

Shape suffixes: N answers, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from sigflow.config import Config
from sigflow.decoding import ctc_greedy
from sigflow.metrics import blank_ratio, calibration_error, word_error_rate
from sigflow.monitors import diversity


class Limits(Config):
    """How far a lower precision may be from fp32; one that is further is not put in the bundle. Shares are of 1."""

    accuracy_loss: float = Field(default=0.005, ge=0)
    class_loss: float = Field(default=0.1, ge=0)  # of a class's recall, beyond one clip of it
    agreement: float = Field(default=0.98, ge=0, le=1)  # of answers; of sentences: of frames' answers
    ece_rise: float = Field(default=0.02, ge=0)
    diversity: float = Field(default=0.9, ge=0, le=1)  # distinct answers and their entropy, over fp32's
    top_share_rise: float = Field(default=0.1, ge=0)  # share of the commonest answer
    wer_rise: float = Field(default=0.005, ge=0)
    blank_rise: float = Field(default=0.02, ge=0)
    batch: float = Field(default=0.02, ge=0)  # largest change of a probability by the other clips of a batch
    slowdown: float = Field(default=2.0, gt=0)  # milliseconds per clip, over fp32's
    size: float = Field(default=0.9, gt=0)  # bytes, over fp32's


LIMITS = Limits()


@dataclass(frozen=True)
class Answers:
    """What a graph gave: for the gate's clips, for random inputs, for some of the clips one at a time.

    Probabilities of each clip: (K,), or (T, K) of frames for sentences. `milliseconds` per clip, of one at a time.
    """

    clips: Sequence[np.ndarray]
    random: Sequence[np.ndarray]
    alone: Sequence[np.ndarray]
    milliseconds: float
    bytes: int


def figures(mine: Answers, fp32: Answers, true: Sequence[Sequence[int]], labels: Sequence[str]) -> dict[str, Any]:
    """Everything that `judge` looks at, as plain JSON. `true`: each clip's class as a list of one, or its glosses."""
    sentences = mine.clips[0].ndim == 2
    given_N, theirs_N = _answers(mine.clips), _answers(fp32.clips)
    found: dict[str, Any] = {
        "clips": len(true),
        "agreement": float((given_N == theirs_N).mean()),
        "largest_difference": _largest(mine.clips, fp32.clips),
        "batch": _largest(mine.alone, mine.clips[: len(mine.alone)]),
        "milliseconds": mine.milliseconds,
        "milliseconds_fp32": fp32.milliseconds,
        "bytes": mine.bytes,
        "bytes_fp32": fp32.bytes,
        "answers": diversity(given_N.tolist(), len(labels)),
        "answers_fp32": diversity(theirs_N.tolist(), len(labels)),
        "random": diversity(_answers(mine.random).tolist(), len(labels)),
        "random_fp32": diversity(_answers(fp32.random).tolist(), len(labels)),
    }
    for name, answers in (("", mine), ("_fp32", fp32)):
        measured = _of_sentences(answers.clips, true) if sentences else _of_classes(answers.clips, true)
        found |= {f"{key}{name}": value for key, value in measured.items()}
    if not sentences:
        found["worst_class"] = _worst_class(given_N, theirs_N, np.array(true)[:, 0], labels)
    return found


def judge(found: dict[str, Any], limits: Limits) -> tuple[str, ...]:
    """A line for each limit that the figures miss; none: it may be served."""
    missed = []

    def most(name: str, value: float, limit: float) -> None:
        if value > limit + 1e-9:
            missed.append(f"{name} {value:.4g}, at most {limit:.4g}")

    if found["agreement"] < limits.agreement:
        missed.append(f"agreement with fp32 {found['agreement']:.4f}, at least {limits.agreement}")
    if "wer" in found:
        most("WER above fp32's by", found["wer"] - found["wer_fp32"], limits.wer_rise)
        most("blank ratio off fp32's by", abs(found["blank_ratio"] - found["blank_ratio_fp32"]), limits.blank_rise)
    else:
        most("accuracy below fp32's by", found["accuracy_fp32"] - found["accuracy"], limits.accuracy_loss)
        most("ECE above fp32's by", found["ece"] - found["ece_fp32"], limits.ece_rise)
        worst = found["worst_class"]
        if worst["lost"] > max(1.0, limits.class_loss * worst["clips"]):
            missed.append(f"{worst['lost']} of {worst['clips']} clips of '{worst['label']}' lost against fp32")
    for where in ("answers", "random"):
        mine, theirs = found[where], found[f"{where}_fp32"]
        for name in ("distinct_predicted", "entropy"):
            if mine[name] < limits.diversity * theirs[name]:
                missed.append(f"{name} of {where} {mine[name]:.4g}, fp32 has {theirs[name]:.4g}")
        most(f"commonest of {where} above fp32's by", mine["top_share"] - theirs["top_share"], limits.top_share_rise)
    most("probabilities depend on the batch by", found["batch"], limits.batch)
    most("times as slow as fp32:", found["milliseconds"] / found["milliseconds_fp32"], limits.slowdown)
    most("of fp32's bytes:", found["bytes"] / found["bytes_fp32"], limits.size)
    return tuple(missed)


def _answers(probs: Sequence[np.ndarray]) -> np.ndarray:
    """Classes; of sentences those of all frames."""
    return np.concatenate([np.atleast_2d(clip).argmax(1) for clip in probs])


def _largest(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(first, second, strict=True))


def _of_classes(probs: Sequence[np.ndarray], true: Sequence[Sequence[int]]) -> dict[str, float]:
    probs_NK, true_N = np.stack(probs), np.array(true)[:, 0]
    return {"accuracy": float((probs_NK.argmax(1) == true_N).mean()), "ece": calibration_error(probs_NK, true_N)}


def _of_sentences(probs: Sequence[np.ndarray], true: Sequence[Sequence[int]]) -> dict[str, float]:
    given = [ctc_greedy(frames_TK) for frames_TK in probs]
    return {"wer": word_error_rate(true, given), "blank_ratio": blank_ratio(probs)}


def _worst_class(
    given_N: np.ndarray, theirs_N: np.ndarray, true_N: np.ndarray, labels: Sequence[str]
) -> dict[str, Any]:
    """The class that loses the largest share of its right answers: label, clips, lost (negative: gained)."""
    clips_K, mine_K, fp32_K = (
        np.bincount(true_N[chosen_N], minlength=len(labels))
        for chosen_N in (np.ones(len(true_N), bool), given_N == true_N, theirs_N == true_N)
    )
    lost_K = fp32_K - mine_K
    worst = int((lost_K / np.maximum(clips_K, 1)).argmax())
    return {"label": labels[worst], "clips": int(clips_K[worst]), "lost": int(lost_K[worst])}
