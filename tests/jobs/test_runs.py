"""A user who looks for the best run gets a table, one JSON line, a picture, or one line that says what is wrong."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sigflow.experiments import record
from sigflow.report.style import BLUE
from sigflow.storage import locate
from tests.experiments.made import finished
from tests.report.pictures import pixels, share

JOB = Path(__file__).parents[2] / "jobs" / "runs.py"
Shown = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shown:
    """Exit code, stdout and stderr of `python jobs/runs.py ...`."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["runs.py", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(JOB), run_name="__main__")
        said = capsys.readouterr()
        return int(str(stopped.value.code)), said.out, said.err

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of classes, of which the second is the best, and one of sentences."""
    place = locate(tmp_path_factory.mktemp("runs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for name, wrong, settings in (("poor", 8, []), ("best", 0, ["optim.lr=0.0003"]), ("fair", 2, [])):
            given = [[0] if number < 2 * wrong else [number % 2] for number in range(16)]
            record(place / name, *finished(place / name, given=given, settings=settings), 60.0)
        sentences = {"recipe": "continuous_signs", "labels": ("<blank>", "x", "y"), "true": ["x y"] * 4}
        told = finished(place / "signs", given=[[1, 0]] * 4, **sentences)  # type: ignore[arg-type]
        record(place / "signs", *told, 5.0)
    return Path(place.uri)


def test_runs_are_listed_in_the_order_of_their_ends_or_the_best_first(shown: Shown, folder: Path) -> None:
    code, out, err = shown("--runs", folder)
    assert code == 0
    assert [row["run"] for row in json.loads(out)["runs"]] == ["poor", "best", "fair", "signs"]
    code, out, err = shown("--runs", folder, "--sort", "score", "--recipe", "isolated_gestures")
    answer = json.loads(out)
    assert [row["run"] for row in answer["runs"]] == ["best", "fair", "poor"]
    assert answer["index"] == f"{folder}/index.parquet"
    assert answer["runs"][0]["finished"].endswith("+00:00")
    lines = err.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "best", "fair", "poor"]
    assert "macro_f1 1.000 (sd 0.000)" in lines[1]
    assert lines[1].endswith("optim.lr=0.0003")


@pytest.mark.parametrize("sort", ["gap", "seconds", "parameters", "best_epoch", "accuracy", "started", "run"])
def test_every_way_to_sort_gives_all_runs(shown: Shown, folder: Path, sort: str) -> None:
    assert len(json.loads(shown("--runs", folder, "--sort", sort)[1])["runs"]) == 4


def test_two_runs_are_compared(shown: Shown, folder: Path) -> None:
    """Of 16 clips `poor` has 8 wrong that `best` has right: p = 2 / 2^8."""
    code, out, err = shown("--runs", folder, "--compare", "poor", "best")
    answer = json.loads(out)
    assert (code, answer["runs"]) == (0, ["poor", "best"])
    assert list(answer["settings"]) == ["optim.lr"]
    assert answer["tests"][0]["p_value"] == pytest.approx(2 / 256)
    assert "best against poor: accuracy +0.500" in err
    assert "p = 0.0078, a difference by McNemar's exact test" in err
    assert any(line.split() == ["accuracy", "0.5", "1"] for line in err.splitlines())
    assert "not tested: the clips or folds differ" in shown("--runs", folder, "--compare", "best", "signs")[2]


def test_runs_are_drawn(shown: Shown, folder: Path, tmp_path: Path) -> None:
    code, out, _ = shown("--runs", folder, "--plot", tmp_path / "all.png")
    assert (code, json.loads(out)["plot"]) == (0, str(tmp_path / "all.png"))
    assert share(pixels((tmp_path / "all.png").read_bytes()), BLUE) > 0.0001


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--compare", "best"), "needs two runs"),
        (("--compare", "best", "nonsense"), "no run 'nonsense' in the log; it has poor, best"),
        (("--recipe", "nonsense"), "no run of recipe 'nonsense'"),
        (("--sort", "nonsense"), "invalid choice"),
        (("--plot", "/tmp/all.jpg"), "must end in .png"),
    ],
)
def test_bad_input_is_one_line(shown: Shown, folder: Path, words: tuple[str, ...], expected: str) -> None:
    code, out, err = shown("--runs", folder, *words)
    assert (code, out) == (2, "")
    assert expected in err
    assert len(err.strip().splitlines()) == 1


def test_a_folder_without_a_log_is_one_line(shown: Shown, tmp_path: Path) -> None:
    code, out, err = shown("--runs", tmp_path)
    assert (code, out) == (2, "")
    assert "holds no index.parquet" in err
