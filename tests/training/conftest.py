"""The gestures that most tests here train on: 60 clips of 5 people, and one fold of them."""

from pathlib import Path

import pytest

from sigflow.data.clips import Clips, load_clips
from sigflow.data.folds import Fold, make_folds
from sigflow.recipes.catalogue import find_recipe
from sigflow.storage import Location


@pytest.fixture(scope="session")
def clips(gesture_landmarks: Location) -> Clips:
    return load_clips(gesture_landmarks, find_recipe("isolated_gestures").parts)


@pytest.fixture(scope="session")
def labels(clips: Clips) -> list[str]:
    return sorted({str(name) for name in clips.column("label")})


@pytest.fixture(scope="session")
def fold(clips: Clips) -> Fold:
    names = [str(name) for name in clips.column("label")]
    return make_folds(names, clips.column("subject"), clips.column("split"), spec="5").folds[1]


@pytest.fixture
def at(tmp_path: Path) -> Location:
    return Location(str(tmp_path / "checkpoint.pt"))
