"""If these fail, the report says of a setting that it matters, and it does not."""

import numpy as np

from sigflow.recipes.space import Choice, LogUniform, Space, Uniform
from sigflow.tuning import Trial
from sigflow.tuning.importance import LEAST, importances
from tests.tuning.made import trial

SPACE: Space = {
    "model.dropout": Uniform(low=0, high=0.5),
    "optim.lr": LogUniform(low=1e-4, high=1e-1),
    "model.hidden": Choice(values=((8,), (16,))),
}


def drawn(count: int) -> list[Trial]:
    """The rate decides, and the size a little."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        rate, size = float(rng.uniform(-4, -1)), int(rng.integers(2))
        score = 0.9 - 0.1 * abs(rate + 2.5) - 0.02 * size + float(rng.normal(0, 0.003))
        settings = {"model.dropout": float(rng.uniform(0, 0.5)), "optim.lr": 10**rate, "model.hidden": [8 * (size + 1)]}
        found.append(trial(number, score, *([0.1, 0.2] if number % 4 == 0 else []), overrides=settings))
    return found


def test_what_decided_comes_first() -> None:
    shares = importances(drawn(40), "mine", SPACE)
    assert shares is not None
    assert next(iter(shares)) == "optim.lr"
    assert shares["optim.lr"] > 0.6
    assert abs(sum(shares.values()) - 1) < 1e-9


def test_too_few_or_equal_trials_say_nothing() -> None:
    assert importances(drawn(LEAST - 1), "mine", SPACE) is None
    assert importances(drawn(40), "another", SPACE) is None
    alike = [each.model_copy(update={"scores": (1.0,)}) for each in drawn(20)]
    assert importances(alike, "mine", SPACE) is None
    unfinished = [each.model_copy(update={"scores": (), "state": "failed"}) for each in drawn(20)]
    assert importances(unfinished, "mine", SPACE) is None
