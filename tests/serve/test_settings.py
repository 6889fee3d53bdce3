"""If these fail, what was trained on the page is not served, or a page is there that nobody asked for."""

import argparse
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from serve.__main__ import _drain, _settings, flags
from serve.settings import BUNDLES, Settings, settings_of
from sigflow.errors import UserError

Started = Callable[..., Settings]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """The settings of `python -m serve` with these words."""
    monkeypatch.delenv("SIGFLOW_API_KEYS", raising=False)

    def read(*words: object) -> Settings:
        parser = argparse.ArgumentParser()
        flags(parser)
        return _settings(parser.parse_args([str(word) for word in words]), 0)

    return read


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("2.5", 2.5), ("1e300", threading.TIMEOUT_MAX)])
def test_seconds_to_drain_are_none_or_some(text: str, seconds: float) -> None:
    assert _drain(text) == seconds
    for bad in ("-1", "nan", "soon"):
        with pytest.raises(UserError, match="above 0"):
            _drain(bad)


def test_what_is_trained_on_the_page_is_served_and_looked_for_often() -> None:
    settings = settings_of({"page": {"folder": "s3://bucket/recordings/"}})
    assert settings.registry
    assert settings.registry.uri == f"s3://bucket/recordings/{BUNDLES}"
    assert settings.registry.refresh_s < 5
    assert settings_of(settings.model_dump(mode="json")) == settings, "as replicas get them"
    assert settings_of({"page": {}}).registry is None
    other = settings_of({"page": {"folder": "/here"}, "registry": {"uri": "/there"}})
    assert other.registry
    assert other.registry.uri == "/there"


@pytest.mark.parametrize("bad", [{"target": 0}, {"record_s": 0}, {"prepare_s": -1}, {"dir": "x"}])
def test_a_page_that_makes_no_sense_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(UserError, match="settings: page"):
        settings_of({"page": bad})


def test_the_page_is_off_unless_it_is_asked_for(started: Started, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--page DIR to make one"):
        started()
    with pytest.raises(UserError, match="no bundle to serve"):
        started("--page")
    assert started("--registry", tmp_path).page is None
    page = started("--page", "--registry", tmp_path).page
    assert page
    assert page.folder is None


def test_with_a_folder_nothing_else_is_needed(started: Started, tmp_path: Path) -> None:
    page = started("--page", tmp_path / "new").page
    assert page
    assert page.folder == str(tmp_path / "new")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another --page DIR"):
        started("--page", tmp_path / "file")


def test_a_page_may_be_asked_for_beside_a_file_of_settings(started: Started, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"registry: {{uri: {tmp_path}}}\npage: {{target: 20}}\n")
    for words, folder in (((), None), (("--page",), None), (("--page", tmp_path / "new"), str(tmp_path / "new"))):
        page = started("--settings", file, *words).page
        assert page
        assert (page.target, page.folder) == (20, folder)
