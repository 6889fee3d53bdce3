"""The driver's desk of a search: hands out what is to be tried, writes down what came of it, tells people."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sigflow.recipes.recipe import Recipe
from sigflow.storage import Location
from sigflow.tuning import Overrides, Proposer, Standing, Trial, best_of, write_trial
from sigflow.tuning.trials import short

_SAY_EVERY_S = 30.0
_HANDED_OUT = 3  # times, at the most, while workers die before they begin
_UNTRIED = Standing()


@dataclass
class _Running:
    """A trial that was handed out."""

    number: int
    recipe: str
    overrides: Overrides
    since: float = field(default_factory=time.monotonic)
    standing: Standing = _UNTRIED
    began: bool = False
    handed_out: int = 1


class Desk:
    """One search, from its first trial to its last; `trials`: those that have ended, also before this began."""

    def __init__(
        self,
        out: Location,
        recipes: Mapping[str, Recipe],
        proposer: Proposer,
        *,
        score: str,
        folds: int,
        first: Sequence[tuple[str, Overrides]],
        trials: Sequence[Trial],
        most: int | None,
        limit_s: float | None,
        refusal: Callable[[str, Overrides], str | None],
        spent_s: float = 0.0,
    ) -> None:
        """`first`: what is tried before anything is proposed. `most`: trials. `refusal`: why settings are not tried.

        `spent_s`: of the search's time, before its first trial.
        """
        self.recipes, self.score, self.trials = recipes, score, list(trials)
        self._out, self._proposer, self._folds, self._most, self._refusal = out, proposer, folds, most, refusal
        done = [(trial.recipe, trial.overrides) for trial in trials]
        self._first = [each for each in first if each not in done]
        self._before_s = max((trial.ended_s for trial in trials), default=spent_s)
        self._begun = self._said = time.monotonic()
        self.deadline = None if limit_s is None else time.time() + limit_s - self._before_s
        self._next = max((trial.number for trial in trials), default=-1) + 1
        self._running: dict[str, _Running] = {}
        self._again: list[_Running] = []
        for trial in trials:
            proposer.tell(trial)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is begun."""
        late = self.deadline is not None and time.time() >= self.deadline
        return late or (self._most is not None and len(self.trials) + len(self._running) >= self._most)

    def hand_out(self, trial_id: str) -> tuple[str, Overrides] | None:
        """A recipe's name and settings of it; None: the search is over. What cannot be trained has failed already."""
        while not self.is_over:
            if self._again:
                self._running[trial_id] = again = self._again.pop()
                return again.recipe, again.overrides
            number, self._next = self._next, self._next + 1
            recipe, overrides = self._first.pop(0) if self._first else self._proposer.ask(number)
            running = _Running(number, recipe, overrides)
            if (why := self._refusal(recipe, overrides)) is None:
                self._running[trial_id] = running
                return recipe, overrides
            running.standing = Standing(failed=why)
            self._close(running)
        return None

    def started(self, trial_id: str) -> None:
        """Its worker is there: what it takes counts from here; of one that begins anew it goes on counting."""
        running = self._running[trial_id]
        running.began = True
        if not running.standing.scores:
            running.since = time.monotonic()

    def stands(self, trial_id: str, standing: Standing) -> None:
        """After each fold."""
        self._running[trial_id].standing = standing
        if time.monotonic() - self._said >= _SAY_EVERY_S:
            self._say(f"{len(self._running)} running")

    def ended(self, trial_id: str, *, died: str | None = None) -> None:
        """`died`: what became of its worker. One that never began is handed out again.

        Ray Tune begins a trial anew when its worker dies, but not when that worker had ended another trial, was to be
        used again, and died with its node meanwhile.
        """
        running = self._running.pop(trial_id)
        if died is not None and not running.began and running.handed_out < _HANDED_OUT:
            running.handed_out += 1
            self._again.append(running)
            return
        if died is not None:
            running.standing = running.standing._replace(failed=death(died))
        self._close(running)

    def _close(self, running: _Running) -> None:
        now, standing = time.monotonic(), running.standing
        state, reason = self._verdict(standing)
        trial = Trial(
            number=running.number, recipe=running.recipe, overrides=running.overrides, state=state, reason=reason,
            scores=standing.scores, alarms=standing.alarms, seconds=round(now - running.since, 2),
            ended_s=round(self._before_s + now - self._begun, 2),
        )  # fmt: skip
        write_trial(self._out, trial)
        self.trials.append(trial)
        self._proposer.tell(trial)
        mean = "" if trial.mean is None else f", {self.score} {trial.mean:.4f}"
        why = "" if reason is None else f" ({reason})"
        self._say(
            f"trial {trial.number} {state}, {len(trial.scores)}/{self._folds} folds{mean}, {trial.seconds:.0f} s{why}: "
            f"{short(self.recipes, trial)}"
        )

    def _verdict(self, standing: Standing) -> tuple[Any, str | None]:
        if standing.failed is not None:
            return "failed", standing.failed
        if len(standing.scores) == self._folds:
            return "complete", None
        if standing.late:
            return "stopped", "the search's time was over"
        return "stopped", "others were better after as many folds"

    def _say(self, words: str) -> None:
        self._said = time.monotonic()
        best = best_of(self.trials, self.score)
        shown = "" if best is None else f" | best {best.mean:.4f} (trial {best.number}, {len(best.scores)} folds)"
        left = "" if self.deadline is None else f" | {max(0.0, self.deadline - time.time()) / 60:.1f} min left"
        count = f"{len(self.trials)}{'' if self._most is None else f'/{self._most}'} ended"
        print(f"tune: {words} | {count}{shown}{left}", file=sys.stderr, flush=True)


def death(died: str) -> str:
    """Why a worker is gone, in a word, and then as Ray says it."""
    said = " ".join(died.split())[:300]
    return f"{'out of memory' if 'memory' in said.lower() else 'worker died'}: {said}"
