"""Probabilities to answers in words."""

import asyncio
from collections.abc import Sequence

import numpy as np

from serve.problems import ProblemError
from serve.schemas import Prediction, PredictResponse, Vote, Wanted
from serve.settings import Limits
from serve.shelf import Model
from sigflow.decoding import ctc_greedy
from sigflow.predictor import Answer, ClipInput


async def predictions(model: Model, clips: Sequence[ClipInput], wanted: Wanted, limits: Limits) -> PredictResponse:
    """The model's answer in words; see `in_time`."""
    answers = await in_time(model, clips, limits, votes=wanted.votes)
    given = [prediction(model, clip, answer, wanted) for clip, answer in zip(clips, answers, strict=True)]
    return PredictResponse(model=model.manifest.name, version=model.manifest.version, predictions=given)


async def in_time(model: Model, clips: Sequence[ClipInput], limits: Limits, *, votes: bool = False) -> list[Answer]:
    """The model's answers, within the deadline.

    Raises:
        ProblemError: 503, too many wait; 504, it takes too long.
    """
    try:
        async with asyncio.timeout(limits.deadline_s):
            return await model.batcher.answers(clips, votes=votes)
    except TimeoutError as error:
        raise ProblemError(504, f"no answer within {limits.deadline_s:g} s; send less, or later") from error


def prediction(model: Model, clip: ClipInput, answer: Answer, wanted: Wanted) -> Prediction:
    """One clip's answer in words."""
    manifest = model.manifest
    if manifest.task == "sentences":
        glosses = [manifest.labels[k] for k in ctc_greedy(answer.probs)]
        return Prediction(label=" ".join(glosses), probabilities={}, glosses=glosses, found=clip.found)
    top = _top(manifest.labels, answer.probs, wanted.top_k)
    label, prob = next(iter(top.items()))
    votes = None
    if wanted.votes:
        each = answer.votes if answer.votes is not None else [answer.probs]  # of one member: its own answer
        votes = [
            Vote(
                run=str(member["run"]),
                weight=member["weight"],
                probabilities=_top(manifest.labels, probs, wanted.top_k),
            )
            for member, probs in zip(manifest.members, each, strict=True)
        ]
    return Prediction(
        label=label if prob >= wanted.threshold else None, probabilities=top, votes=votes, found=clip.found
    )


def _top(labels: tuple[str, ...], probs: np.ndarray, count: int) -> dict[str, float]:
    order = probs.argsort()[::-1][:count]
    return {labels[k]: float(probs[k]) for k in order}
