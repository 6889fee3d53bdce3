"""What every epoch is watched for: collapse, blanks, overfitting, wild gradients, numbers that are none.

A collapsed model has a falling loss and an accuracy that looks fine where one class is common; what gives it away is
how few different answers it has. So the answers on the stop part are counted (plain Python: no torch).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from sigflow.config import Config

Epoch = dict[str, int | float]  # one row of history.csv
Act = Literal["off", "warn", "stop"]  # stop: the fold ends, with the best weights so far, and says why


class Monitors(Config):
    """What each finding does, and where it begins.

    A state counts once it has lasted `patience` epochs in a row. Untrained networks give one answer to everything and
    CTC says only blank at first, so no epoch up to `grace` counts: what never gets going is caught in epoch
    `grace + patience`, what breaks down later within `patience` epochs.
    """

    grace: int = Field(default=20, ge=0)  # epochs
    patience: int = Field(default=10, ge=1)  # epochs
    collapse: Act = "stop"  # nearly everything gets one answer, or few
    top_share: float = Field(default=0.9, gt=0, le=1)  # how far the commonest answer's share is, from the true one to 1
    entropy: float = Field(default=0.5, ge=0, le=1)  # of the answers, over that of the true labels: less is collapse
    blank: Act = "stop"
    blank_ratio: float = Field(default=0.97, gt=0, le=1)  # of frames
    blank_wer: float = Field(default=0.9, ge=0)  # and no less: one sign in a long clip leaves as many frames blank
    unanswered: Act = "warn"
    answered: float = Field(default=0.75, ge=0, le=1)  # of the classes that occur, so many are answered
    overfit: Act = "warn"
    gap: float = Field(default=0.3, gt=0)  # training accuracy above the stop part's
    gradient: Act = "warn"
    grad_norm: float = Field(default=1000.0, gt=0)  # before clipping

    def within(self, epochs: int) -> "Monitors":
        """Both waits shortened in proportion, so that they end in the first two thirds of so many epochs.

        Never below eight epochs together: shorter trainings are none.
        """
        whole, limit = self.grace + self.patience, max(8, 2 * epochs // 3)
        if whole <= limit:
            return self
        patience = max(1, self.patience * limit // whole)
        return self.model_copy(update={"grace": limit - patience, "patience": patience})


class Alarm(NamedTuple):
    """One finding. `first`: the epoch in which the state began."""

    code: str
    first: int
    epoch: int
    message: str
    stops: bool


def diversity(answers: Sequence[int], num_classes: int) -> dict[str, float]:
    """Of the answers: how many different ones, the share of the most common, entropy over that of all classes alike."""
    counts = Counter(answers).values()
    total = sum(counts)
    shares = [count / total for count in counts]
    return {
        "distinct_predicted": float(len(shares)),
        "top_share": max(shares, default=1.0),
        "entropy": max(0.0, -sum(p * math.log(p) for p in shares)) / math.log(num_classes) if num_classes > 1 else 0.0,
    }


def watch(history: Sequence[Epoch], true: Mapping[str, float], config: Monitors) -> list[Alarm]:
    """What is to be said after the last epoch of `history`; a state that goes on is said once, when it is long enough.

    `true`: `diversity` of the stop part's true labels. Only epochs of one model are in `history`.
    """
    states = [_states(epoch, true, config) if epoch["epoch"] > config.grace else {} for epoch in history]
    alarms = []
    for code, words in states[-1].items():
        act: Act = getattr(config, code)
        lasted = next((n for n, state in enumerate(reversed(states)) if code not in state), len(states))
        if act != "off" and lasted == config.patience:
            first, last = int(history[-lasted]["epoch"]), int(history[-1]["epoch"])
            alarms.append(Alarm(code, first, last, f"{words} in epochs {first} to {last}", act == "stop"))
    return alarms


def _states(epoch: Epoch, true: Mapping[str, float], config: Monitors) -> dict[str, str]:
    """What is wrong with an epoch, in words, by the name of what `Monitors` says of it."""
    found = {}
    if epoch.get("stop_blank_ratio", 0.0) >= config.blank_ratio and epoch.get("stop_wer", 1.0) >= config.blank_wer:
        found["blank"] = f"{epoch['stop_blank_ratio']:.1%} of frames are blank"
    distinct, share = epoch["stop_distinct_predicted"], epoch["stop_top_share"]
    if true["distinct_predicted"] > 1 and "blank" not in found:
        limit = true["top_share"] + config.top_share * (1 - true["top_share"])
        if share >= limit or epoch["stop_entropy"] < config.entropy * true["entropy"]:
            found["collapse"] = (
                f"{distinct:.0f} of {true['distinct_predicted']:.0f} classes are answered, one of them "
                f"{share:.1%} of the time"
            )
        elif distinct < config.answered * true["distinct_predicted"]:
            found["unanswered"] = f"only {distinct:.0f} of {true['distinct_predicted']:.0f} classes are ever answered"
    if epoch["accuracy"] - epoch["stop_accuracy"] > config.gap:
        found["overfit"] = (
            f"training accuracy {epoch['accuracy']:.2f} is far above the stop part's {epoch['stop_accuracy']:.2f}"
        )
    if epoch.get("grad_norm", 0.0) > config.grad_norm:
        found["gradient"] = f"gradients of norm {epoch['grad_norm']:.0f}"
    return found
