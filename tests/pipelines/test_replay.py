"""If these fail, nobody knows whether a bundle finds each sign once, how late, or how often it cries wolf."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sigflow.bundle import GRAPH, read_bundle, write_bundle
from sigflow.errors import UserError
from sigflow.landmarks.synthetic import GESTURES, SUBJECTS
from sigflow.pipelines.replay import replay
from sigflow.spotting import stream_of
from sigflow.storage import Location, locate


@pytest.fixture(scope="module")
def played(exported_bundle: Location, gesture_landmarks: Location, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return replay(exported_bundle, gesture_landmarks, locate(tmp_path_factory.mktemp("replay")))


def test_gestures_are_found_once_soon_after_their_end(played: dict[str, Any]) -> None:
    assert (played["clips"], played["done"]) == (60, 60)
    assert played["once"] + played["twice"] + played["missed"] + played["wrong"] == 60
    assert played["once"] >= 50
    assert played["twice"] == 0
    assert -0.5 < played["delay_s"]["from_end"]["median"] < 0.5
    assert played["delay_s"]["from_start"]["median"] > 0
    assert played["false_alarms"] == 0
    assert played["hours"] * 3600 > 60


def test_figures_are_those_of_the_events_that_are_written(played: dict[str, Any]) -> None:
    out = Path(played["out"])
    events = pq.read_table(out / "events.parquet").to_pylist()
    right = [event for event in events if event["label"] == event["done"]]
    assert len({event["clip_id"] for event in right}) >= played["once"]
    assert all(event["start_s"] <= event["end_s"] <= event["at_s"] for event in events)
    told = json.loads((out / "replay.json").read_text())
    assert sum(each["once"] for each in told["per_label"].values()) == played["once"]
    assert told["stream"]["window_s"] == played["stream"]["window_s"]


def test_labels_that_mean_nothing_are_quiet_time(
    exported_bundle: Location, write_gestures: Callable[..., Location], tmp_path: Path
) -> None:
    data = write_gestures(tmp_path / "data", subjects=SUBJECTS[:1], gestures=GESTURES[:3], takes=2)
    bundle = read_bundle(exported_bundle)
    stream = stream_of(bundle.manifest).model_copy(update={"ignored": (GESTURES[0],)})
    place = locate(tmp_path / "bundle")
    write_bundle(place, bundle.manifest.model_copy(update={"stream": stream}), {GRAPH: bundle.graph})
    answer = replay(place, data, locate(tmp_path / "out"), gap_s=0.5)
    assert (answer["clips"], answer["done"], answer["nothing"]["clips"]) == (6, 4, 2)
    assert answer["nothing"]["hours"] > 0
    assert answer["false_alarms"] == answer["nothing"]["false_alarms"] <= 1


def test_subjects_and_labels_that_are_not_there_are_refused(
    exported_bundle: Location, gesture_landmarks: Location, write_gestures: Callable[..., Location], tmp_path: Path
) -> None:
    out = locate(tmp_path / "out")
    with pytest.raises(UserError, match="no clip of subject 'zoe'; there are ada, bo"):
        replay(exported_bundle, gesture_landmarks, out, subjects=("ada", "zoe"))
    strange = write_gestures(tmp_path / "strange", subjects=SUBJECTS[:1], gestures=GESTURES[3:5], takes=1)
    with pytest.raises(UserError, match=r"no clip of .* has a label that .* knows"):
        replay(exported_bundle, strange, out)
    assert not (tmp_path / "out").exists()
