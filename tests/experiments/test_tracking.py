"""If these fail, MLflow lacks a run, has one twice or knows a secret, or a server that is down costs a training."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from sigflow.errors import UserError
from sigflow.experiments import check_tracking, record
from sigflow.experiments import tracking as module
from sigflow.storage import Location, locate
from tests.experiments.made import HISTORIES, finished

# The test's own client, like many a user's, meets what MLflow's libraries say of each other.
pytestmark = pytest.mark.filterwarnings("ignore:.*noload:DeprecationWarning")


@pytest.fixture
def folder(tmp_path: Path) -> Location:
    return locate(tmp_path / "runs")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MlflowClient]:
    """A real MLflow on SQLite, which keeps its artefacts below the working directory."""
    place = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return place, MlflowClient(f"sqlite:///{place}/mlflow.db")


@pytest.fixture
def client(store: tuple[Path, MlflowClient], monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.chdir(store[0])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store[1].tracking_uri)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    for name, value in module.DEFAULTS.items():
        monkeypatch.setenv(name, value)
    return store[1]


def told_of(client: MlflowClient, experiment: str) -> list[Any]:
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


def test_mlflow_has_the_run_with_its_settings_curves_figures_and_files(folder: Location, client: MlflowClient) -> None:
    run, metrics = finished(folder / "first", settings=["optim.lr=0.0003"], data="s3://me:pw@bucket/x")
    (folder / "first" / "report" / "index.html").write_text("<p>näher")
    assert record(folder / "first", run, metrics, 12.5) == []
    (told,) = told_of(client, "sigflow")
    assert (told.info.run_name, told.info.status) == ("first", "FINISHED")
    assert told.data.params["optim.lr"] == "0.0003"
    assert told.data.params["model.hidden.0"] == str(run.recipe.model_dump()["model"]["hidden"][0])
    assert told.data.tags["sigflow.data_fingerprint"] == run.data_fingerprint
    assert told.data.tags["sigflow.recipe"] == "isolated_gestures"
    assert told.data.metrics["score"] == pytest.approx(metrics["macro_f1"])
    assert told.data.metrics["gap"] == pytest.approx(0.15)
    assert told.data.metrics["seconds"] == 12.5
    for fold, history in enumerate(HISTORIES):
        curve = client.get_metric_history(told.info.run_id, f"fold{fold}/stop_loss")
        assert [(m.step, m.value) for m in curve] == [(e["epoch"], e["stop_loss"]) for e in history]
    assert {file.path for file in client.list_artifacts(told.info.run_id)} == {"report", "metrics.json", "recipe.json"}
    page = client.download_artifacts(told.info.run_id, "report/index.html")
    assert Path(page).read_text() == "<p>näher"
    said = repr((told.data.params, told.data.tags))
    assert "pw@" not in said
    assert str(folder) not in said


def test_a_run_that_is_recorded_again_is_there_once_and_another_one_beside_it(
    folder: Location, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "gestures")
    for name, times in (("first", 2), ("second", 1)):
        run, metrics = finished(folder / name)
        for _ in range(times):
            assert record(folder / name, run, metrics, 1.0) == []
    told = told_of(client, "gestures")
    assert sorted(each.info.run_name for each in told) == ["first", "second"]


def test_more_epochs_than_one_request_takes_arrive_whole(
    folder: Location, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "long")
    names = ("loss", "accuracy", "stop_loss", "stop_accuracy", *(f"extra{number}" for number in range(10)))
    history = [{"epoch": epoch, **dict.fromkeys(names, epoch / 64)} for epoch in range(1, 81)]
    run, metrics = finished(folder / "first", histories=[history, history])  # 2 x 80 x 14 = 2,240
    assert record(folder / "first", run, metrics, 1.0) == []
    (told,) = told_of(client, "long")
    for name in ("fold0/loss", "fold1/extra9"):
        curve = client.get_metric_history(told.info.run_id, name)
        assert sorted((m.step, m.value) for m in curve) == [(epoch, epoch / 64) for epoch in range(1, 81)]


def test_a_server_that_is_down_costs_seconds_and_a_line_that_keeps_the_password(
    folder: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, metrics = finished(folder / "first")
    for name, value in module.DEFAULTS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:hunter2@127.0.0.1:9")
    begun = time.monotonic()
    (said,) = record(folder / "first", run, metrics, 1.0)
    assert time.monotonic() - begun < 30
    assert "MLflow did not take the run" in said
    assert "hunter2" not in said
    assert (folder / "index.parquet").exists()


def test_mlflow_that_is_asked_for_and_not_installed_is_said_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    check_tracking()
    monkeypatch.delitem(sys.modules, "mlflow")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(UserError, match=r"pip install 'sigflow\[mlflow\]', or unset it"):
        check_tracking()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    check_tracking()
