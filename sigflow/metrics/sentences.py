"""Sentences of glosses: WER, and what is substituted, left out and put in.

Shape suffixes: T frames, K classes.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from sigflow.decoding import BLANK, ctc_greedy

_PAIRS = 20  # of glosses that are taken for one another, the commonest


def transcription(
    probs: Sequence[np.ndarray],
    true: Sequence[Sequence[int]],
    labels: Sequence[str],
    subjects: Sequence[str | None],
) -> dict[str, Any]:
    """All figures of sentences decoded greedily, as plain JSON; see `transcribed`.

    `probs`: (T, K) of each clip; class 0 is the blank.
    """
    given = [ctc_greedy(frames_TK) for frames_TK in probs]
    return transcribed(given, true, labels, subjects, blanks=blank_ratio(probs))


def transcribed(
    given: Sequence[Sequence[int]],
    true: Sequence[Sequence[int]],
    labels: Sequence[str],
    subjects: Sequence[str | None],
    *,
    blanks: float,
) -> dict[str, Any]:
    """All figures of sentences that were decoded already, as plain JSON. `blanks`: share of frames that are blank.

    per_gloss counts how often a gloss is signed (`clips`), and of
    these right, substituted and deleted (said nothing); inserted: given where nothing was signed. A gloss's error_rate
    is the share that is not right. accuracy: sentences that are right in full.
    """
    pairs = [pair for theirs, mine in zip(true, given, strict=True) for pair in align(theirs, mine)]
    names = ["unknown" if subject is None else subject for subject in subjects]
    signed = max(sum(map(len, true)), 1)
    wrong = Counter(
        "deletions" if mine is None else "insertions" if theirs is None else "substitutions"
        for theirs, mine in pairs
        if theirs != mine
    )
    confused = Counter((a, b) for a, b in pairs if a is not None and b is not None and a != b)
    return {
        "clips": len(given),
        "wer": wrong.total() / signed,
        "signed_glosses": sum(map(len, true)),
        **{kind: wrong[kind] for kind in ("substitutions", "deletions", "insertions")},
        "accuracy": float(np.mean([list(mine) == list(theirs) for mine, theirs in zip(given, true, strict=True)])),
        "blank_ratio": blanks,
        "distinct_predicted": len({gloss for sentence in given for gloss in sentence}),
        "glosses": len(labels) - 1,
        "per_gloss": _per_gloss(pairs, labels),
        "confused": [
            {"true": _name(a, labels), "given": _name(b, labels), "times": times}
            for (a, b), times in sorted(confused.items(), key=lambda item: (-item[1], item[0]))[:_PAIRS]
        ],
        "per_subject": _per_subject(true, given, names),
    }


def word_error_rate(true: Sequence[Sequence[int]], given: Sequence[Sequence[int]]) -> float:
    """Substitutions, insertions and deletions over the number of true glosses, pooled over all sentences."""
    errors = sum(edit_distance(theirs, mine) for theirs, mine in zip(true, given, strict=True))
    return errors / max(sum(map(len, true)), 1)


def edit_distance(true: Sequence[int], given: Sequence[int]) -> int:
    """Least number of substitutions, insertions and deletions (Levenshtein 1966)."""
    return _distances(true, given)[-1][-1]


def align(true: Sequence[int], given: Sequence[int]) -> list[tuple[int | None, int | None]]:
    """The glosses side by side with the fewest edits: (a, b), (a, None) deleted, (None, b) inserted.

    Of alignments with as many edits the one that substitutes most is taken.
    """
    table = _distances(true, given)
    i, j = len(true), len(given)
    pairs: list[tuple[int | None, int | None]] = []
    while i or j:
        if i and j and table[i][j] == table[i - 1][j - 1] + (true[i - 1] != given[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((true[i], given[j]))
        elif i and table[i][j] == table[i - 1][j] + 1:
            i -= 1
            pairs.append((true[i], None))
        else:
            j -= 1
            pairs.append((None, given[j]))
    return pairs[::-1]


def blank_ratio(probs: Sequence[np.ndarray]) -> float:
    """Share of frames whose likeliest class is the blank; near 1: the model says nothing at all."""
    return float(np.concatenate([frames_TK.argmax(1) == BLANK for frames_TK in probs]).mean())


def _distances(true: Sequence[int], given: Sequence[int]) -> list[list[int]]:
    rows = [list(range(len(given) + 1))]
    for i, theirs in enumerate(true, 1):
        above, row = rows[-1], [i]
        for j, mine in enumerate(given, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (theirs != mine)))
        rows.append(row)
    return rows


def _per_gloss(pairs: Sequence[tuple[int | None, int | None]], labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    signed = Counter(a for a, _ in pairs)
    right = Counter(a for a, b in pairs if a == b)
    deleted = Counter(a for a, b in pairs if b is None)
    inserted = Counter(b for a, b in pairs if a is None)
    given = Counter(b for _, b in pairs)
    return {
        label: {
            "clips": signed[k],
            "right": right[k],
            "substituted": signed[k] - right[k] - deleted[k],
            "deleted": deleted[k],
            "inserted": inserted[k],
            "given": given[k],
            "error_rate": 1 - right[k] / signed[k] if signed[k] else None,
        }
        for k, label in enumerate(labels)
        if k != BLANK
    }


def _per_subject(
    true: Sequence[Sequence[int]], given: Sequence[Sequence[int]], names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    found = {}
    for name in sorted(set(names)):
        rows = [i for i, other in enumerate(names) if other == name]
        wer = word_error_rate([true[i] for i in rows], [given[i] for i in rows])
        found[name] = {"accuracy": max(0.0, 1 - wer), "wer": wer, "clips": len(rows)}
    return found


def _name(gloss: int, labels: Sequence[str]) -> str:
    return labels[gloss] if gloss >= 0 else "(not learnt)"
