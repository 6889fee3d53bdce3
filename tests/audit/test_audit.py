"""If these fail, a run that was found impossible starts, or one that was forced does not."""

import pytest

from sigflow.audit import Finding, known_codes, stop_on_errors
from sigflow.audit.plan import listed, number
from sigflow.errors import UserError

FOUND = [
    Finding(code="small_test_fold", severity="error", evidence="fold 0: 5", mend="record more"),
    Finding(code="copied_clips", severity="error", evidence="1 pair", mend="leave one out"),
    Finding(code="few_clips", severity="warning", evidence="a: 3", mend="record more"),
]


def test_errors_stop_a_run_and_say_how_to_go_on() -> None:
    with pytest.raises(UserError, match=r"fold 0: 5; record more .*--force small_test_fold,copied_clips"):
        stop_on_errors(FOUND)
    with pytest.raises(UserError, match=r"copied_clips: .*--force copied_clips$"):
        stop_on_errors(FOUND, force=["small_test_fold"])
    stop_on_errors(FOUND, force=["small_test_fold", "copied_clips"])
    stop_on_errors(FOUND[2:])


def test_a_mistyped_code_is_refused_even_without_errors() -> None:
    with pytest.raises(UserError, match=r"small_fold is no code of the audit.*small_test_fold"):
        stop_on_errors([], force=["small_fold"])
    assert list(known_codes()) == sorted(known_codes())


def test_evidence_names_a_few_and_counts_the_rest() -> None:
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert (number(1, "pair"), number(2, "pair")) == ("1 pair", "2 pairs")
