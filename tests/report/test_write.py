"""If these fail, a report says of a run what is not so, does not open, or lets a label run code."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from sigflow import runs
from sigflow.data.clips import load_clips
from sigflow.errors import UserError
from sigflow.recipes.catalogue import find_recipe
from sigflow.report.write import write_report
from sigflow.storage import Location, locate

HOSTILE = ("<script>alert(1)</script>", "a|b $x_1$ \\ \n# no", "&amp;")
_VOID = {"meta", "img"}


class Page(HTMLParser):
    """Checks that tags close in order; keeps text, tags and addresses."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


FakeRun = Callable[..., Location]


@pytest.fixture
def fake_run(tmp_path: Path) -> FakeRun:
    """A finished run of two folds in which every clip of `true` was answered with `given`."""

    def make(
        labels: tuple[str, ...], true: list[str], probs: list[np.ndarray], recipe: str, subjects: list[str | None]
    ) -> Location:
        place = locate(tmp_path / "run")
        run = runs.Run(
            recipe=find_recipe(recipe), data="there", data_fingerprint="d" * 64, extractor="{}", labels=labels,
            num_folds=2, folds_spec="2", folds_fingerprint="f" * 64, holdout=(), subject_independent=True,
        )  # fmt: skip
        ids = [f"clip{number}" for number in range(len(true))]
        fold_of = [number % 2 for number in range(len(true))]
        roles = [
            {"clip_id": ids[i], "fold": fold, "role": "test" if fold_of[i] == fold else "train"}
            for i in range(len(true))
            for fold in (0, 1)
        ]
        runs.start_run(place, run, pa.Table.from_pylist(roles), resume=False)
        for fold in (0, 1):
            mine = [i for i in range(len(true)) if fold_of[i] == fold]
            test = runs.predictions_table(
                [ids[i] for i in mine], fold, [true[i] for i in mine], [subjects[i] for i in mine],
                [probs[i] for i in mine],
            )  # fmt: skip
            history = [{"epoch": 1, "loss": 1.0, "stop_loss": 0.9, "stop_accuracy": 0.5}]
            runs.write_fold(
                place, run.key, fold, weights={"scaler.mean": torch.zeros(2), "scaler.std": torch.ones(2)}, test=test,
                summary={"best_epoch": 1, "metrics": {}, "history": history},
            )  # fmt: skip
        runs.finish_run(place, run)
        return place

    return make


def read(place: Location, name: str = "index.html") -> str:
    return (place / "report" / name).read_bytes().decode()


def test_a_report_opens_from_disk_with_everything_in_it(
    trained_run: Location, gesture_landmarks: Location, tmp_path: Path
) -> None:
    shutil.copytree(trained_run.uri, tmp_path / "run")
    place = locate(tmp_path / "run")
    clips = load_clips(gesture_landmarks, runs.read_run(place).recipe.parts)
    written = write_report(place, clips, ["2 classes are rare"])
    assert written.uri == str(tmp_path / "run" / "report" / "index.html")
    metrics = json.loads((place / "metrics.json").read_bytes())
    page = Page(read(place))
    assert "script" not in page.tags
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    wrong = round(metrics["clips"] * (1 - metrics["accuracy"]))
    assert len(page.addresses) >= 5 + min(wrong, 2)  # subjects, confusion, ranking, reliability, curves, mistakes
    low, high = metrics["intervals"]["macro_f1"]
    for said in (
        "2 classes are rare", "each by a model that was not trained on them", "60 clips of 5 subjects",
        f"Macro-F1 {metrics['macro_f1']:.3f} (95 % interval {low:.3f} to {high:.3f})", "likely to be wider",
        f"Worst subject: {metrics['worst_subject']['subject']}",
    ):  # fmt: skip
        assert said in page.text, said
        assert said in read(place, "model_card.md").replace("\\", ""), said
    passed = metrics["gates"]["macro_f1"]["passed"]
    assert ("Passed" in page.text, "Not good enough" in page.text) == (passed, not passed)


def test_labels_and_subjects_are_shown_letter_by_letter_and_never_run(fake_run: FakeRun) -> None:
    probs = [np.array([0.1, 0.8, 0.1]), np.array([0.1, 0.1, 0.8]), np.array([0.7, 0.2, 0.1])] * 4
    place = fake_run(HOSTILE, [HOSTILE[0], HOSTILE[2], HOSTILE[1]] * 4, probs, "unified_signs", ["<i>x", "y|"] * 6)
    write_report(place, findings=["<img src=x onerror=alert(1)>"])
    page = Page(read(place))
    assert not {"script", "i"} & page.tags
    assert all(address.startswith("data:") for address in page.addresses)
    for text in (HOSTILE[0], HOSTILE[2], "<i>x", "<img src=x onerror=alert(1)>"):
        assert text in page.text
    card = read(place, "model_card.md")
    assert not re.search(r"(?<!\\)<", card)
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in card.splitlines() if line.startswith("| y")]
    assert widths == [4]  # a subject called "y|" does not add a column


def test_falls_have_false_alarms_and_misses_in_words(fake_run: FakeRun) -> None:
    """8 ADL of which 2 are taken for falls, 4 falls of which 1 is missed."""
    given, true = [1, 1, *[0] * 6, 1, 1, 1, 0], ["ADL"] * 8 + ["Fall"] * 4
    place = fake_run(("ADL", "Fall"), true, list(np.eye(2)[given] * 0.8 + 0.1), "fall_detection", list("abcdefabcdef"))
    write_report(place)
    text = Page(read(place)).text
    assert "2 clips of ADL were taken for Fall (false alarms); how many an hour is not known" in text
    assert "1 clips of Fall were missed" in text
    assert "4 of 4 gates missed (precision, recall, F1, ROC-AUC)" in text
    assert "precision of Fall" in text
    assert "calibration" in text


def test_sentences_have_edits_and_no_classes(fake_run: FakeRun) -> None:
    """(a b) answered (a), (b) answered nothing: two deletions of three glosses."""
    probs = [np.eye(3)[[1, 0, 0]], np.eye(3)[[0, 0]]]
    place = fake_run(("<blank>", "a", "b"), ["a b", "b"], probs, "continuous_signs", ["x", "y"])
    write_report(place)
    page = Page(read(place))
    assert "Of 3 glosses signed 2 were left out and 0 taken for others; 0 were put in." in page.text
    assert "a b → a" in page.text
    assert "Confusions" not in page.text  # there are none: glosses were left out
    assert "b → (nothing)" in page.text
    assert "Word error rate (WER) 0.667 (95 % interval 0.500 to 1.000)" in page.text
    assert "gloss" in page.text
    assert "ROC" not in page.text
    assert "Confusion matrix" not in read(place)


def test_a_collapse_is_said_before_any_figure_that_hides_it(fake_run: FakeRun) -> None:
    """One answer for everything: right for the 10 of 12 clips of the commonest class."""
    place = fake_run(("a", "b", "c"), ["a"] * 10 + ["b", "c"], [np.array([0.9, 0.05, 0.05])] * 12, "unified_signs",
                     list("xyz") * 4)  # fmt: skip
    write_report(place)
    text = Page(read(place)).text
    assert "Collapse: only 1 of 3 classes are ever answered." in text
    assert "83.3 % of clips are right; naming the commonest class would be right for 83.3 %" in text


def test_a_run_without_mistakes_and_without_people_has_a_report(fake_run: FakeRun) -> None:
    place = fake_run(("a", "b"), ["a", "b"] * 4, list(np.eye(2)[[0, 1] * 4]), "unified_signs", [None] * 8)
    write_report(place)
    text = Page(read(place)).text
    assert "None: no clips are wrong." in text
    assert "other people may do worse" in text
    assert "Worst subject" not in text


def test_an_unfinished_run_has_no_report(trained_run: Location, tmp_path: Path) -> None:
    shutil.copytree(trained_run.uri, tmp_path / "run")
    metrics = tmp_path / "run" / "metrics.json"
    metrics.write_text("{}")
    with pytest.raises(UserError, match="older sigflow"):
        write_report(locate(tmp_path / "run"))
    metrics.unlink()
    with pytest.raises(UserError, match="not finished"):
        write_report(locate(tmp_path / "run"))


def test_pictures_of_data_need_neither_torch_nor_scikit_learn() -> None:
    """Every extracting worker reads the pictures' module."""
    code = "import sys, sigflow.report; print(sorted({'torch', 'sklearn'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
