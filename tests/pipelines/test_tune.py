"""If these fail, devices stand idle, bad trials run to the end, or a winner is not measured on fresh folds."""

import pytest
import ray.tune

from sigflow.pipelines.search import make_asha, shares
from sigflow.pipelines.tune import fresh
from tests.tuning.made import trial


@pytest.mark.parametrize(
    ("asked", "cpus", "gpus", "number", "share"),
    [
        (None, 2, 0, 2, {"cpu": 1.0}),
        (4, 2, 0, 4, {"cpu": 0.5}),
        (3, 2, 0, 3, {"cpu": 0.6666}),  # rounded down, or the third would never run
        (1, 8, 0, 1, {"cpu": 1.0}),
        (None, 16, 1, 4, {"cpu": 1.0, "gpu": 0.25}),
        (None, 2, 1, 4, {"cpu": 0.5, "gpu": 0.25}),
        (3, 16, 2, 3, {"cpu": 1.0, "gpu": 0.5}),  # two on one GPU, one on the other
        (2, 16, 2, 2, {"cpu": 1.0, "gpu": 1.0}),
    ],
)
def test_small_trials_are_packed(asked: int | None, cpus: int, gpus: int, number: int, share: dict[str, float]) -> None:
    assert shares(asked, cpus=cpus, gpus=gpus) == (number, share)


def decisions(asha: ray.tune.schedulers.ASHAScheduler, name: str, scores: list[float]) -> int:
    """How many folds a trial of these scores is allowed."""

    class Named:
        trial_id = name

    asha.on_trial_add(None, Named)
    for count in range(1, len(scores) + 1):
        result = {"folds": count, "score": sum(scores[:count]) / count}
        if asha.on_trial_result(None, Named, result) == ray.tune.schedulers.TrialScheduler.STOP:
            return count
    return len(scores)


@pytest.mark.parametrize("sign", [1, -1])
def test_bad_trials_end_after_a_fold_or_three_also_when_the_good_ones_ran_before_an_interruption(sign: int) -> None:
    """The score as Ray is given it is better when it is higher, whatever the recipe's is."""
    good, bad, fading = [0.9] * 5, [0.1] * 5, [0.9, 0.1, 0.1, 0.1, 0.1]
    asha = make_asha(5, [trial(0, *(sign * score for score in good), folds=5)], sign)
    assert decisions(asha, "bad", bad) == 1
    assert decisions(asha, "fading", fading) == 3
    assert decisions(asha, "good", good) == 5
    fresh_one = make_asha(5, [], sign)
    assert decisions(fresh_one, "bad", bad) == 5  # nobody is there to compare it with
    assert decisions(make_asha(1, [], sign), "one fold", [0.1]) == 1


def test_fresh_folds_are_others_of_the_same_kind() -> None:
    assert [fresh(spec) for spec in ("5", "5@1", "random:5", "random:3@7")] == [
        "5@1",
        "5@2",
        "random:5@1",
        "random:3@8",
    ]
    assert fresh("subject") is fresh("split") is None
