"""Probabilities to answers in words."""

import asyncio
from collections.abc import Sequence

import numpy as np

from serve.hosting.shelf import Model, Shelf
from serve.problems import ProblemError
from serve.schemas import Prediction, PredictResponse, Vote, Wanted
from serve.telemetry.access_log import LOG
from sigflow.decoding import ctc_greedy
from sigflow.predictor import Answer, ClipInput

_SHADOWED = 64  # clips that may wait for a shadow; more are not copied to it
_tasks: set["asyncio.Task[None]"] = set()  # or they would be collected while they run


async def ask(shelf: Shelf, model: Model, clips: Sequence[ClipInput], *, votes: bool = False) -> list[Answer]:
    """The model's answers within the deadline, for a client: they count in its signals, and shadows are asked too.

    Raises:
        ProblemError: 503, too many wait; 504, it takes too long.
    """
    try:
        async with asyncio.timeout(shelf.limits.deadline_s):
            answers = await model.batcher.answers(clips, votes=votes)
    except TimeoutError as error:
        raise ProblemError(504, f"no answer within {shelf.limits.deadline_s:g} s; send less, or later") from error
    model.signals.add(clips, answers)
    for shadow in shelf.shadows(model.manifest.name):
        if shadow is not model and shadow.batcher.waiting < _SHADOWED:
            task = asyncio.create_task(_compare(shadow, clips, answers))
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)
    return answers


async def _compare(shadow: Model, clips: Sequence[ClipInput], answers: Sequence[Answer]) -> None:
    try:
        shadow.signals.compare(await shadow.batcher.answers(clips), answers)
    except Exception:
        LOG.exception("the shadow %s/%s failed", shadow.manifest.name, shadow.manifest.version)


async def predictions(shelf: Shelf, model: Model, clips: Sequence[ClipInput], wanted: Wanted) -> PredictResponse:
    """`ask` in words."""
    answers = await ask(shelf, model, clips, votes=wanted.votes)
    given = [prediction(model, clip, answer, wanted) for clip, answer in zip(clips, answers, strict=True)]
    return PredictResponse(model=model.manifest.name, version=model.manifest.version, predictions=given)


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
