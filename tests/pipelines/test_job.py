"""If these fail, a mistyped flag becomes a traceback, or a path means something else than its user thinks."""

import pytest

from sigflow.errors import UserError
from sigflow.pipelines import job


def test_names_keep_their_order_and_lose_repetitions() -> None:
    assert job.names(("hands", "pose", "face"))("pose,hands,pose") == ("pose", "hands")


@pytest.mark.parametrize("text", ["", ",", "feet", "hands,feet"])
def test_unknown_names_are_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(UserError, match="hands, pose"):
        job.names(("hands", "pose"))(text)


@pytest.mark.parametrize("text", ["0", "-1", "many", "nan", ""])
def test_what_must_be_positive_is(text: str) -> None:
    with pytest.raises(UserError, match="above 0"):
        job.positive(float)(text)
    assert job.positive(int)("3") == 3


@pytest.mark.parametrize("text", ["a/b", "", ".hidden", "a b", "a:predict"])
def test_a_name_can_stand_in_a_url(text: str) -> None:
    with pytest.raises(UserError, match="URL"):
        job.name(text)
    assert job.name("gestures-2.1") == "gestures-2.1"


def test_a_relative_path_is_this_folders_unless_the_job_was_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert job.path("clips").uri.endswith("/clips")
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    with pytest.raises(UserError, match="absolute"):
        job.path("clips")
    assert job.path("/data/clips").uri == "/data/clips"
