"""If these fail, what was published changes, half of it can be fetched, or a push cannot be repeated."""

import json
import shutil
from pathlib import Path

import pytest

from sigflow.bundle import GRAPH, MANIFEST, Manifest, pull, push, read_bundle, versions, write_bundle
from sigflow.errors import UserError
from sigflow.storage import Location, locate


def made(place: Path, *, version: str = "1", name: str = "signs", graph: bytes = b"graph") -> Location:
    """A bundle; the second version is younger."""
    manifest = Manifest(
        name=name, version=version, created=f"2026-01-0{version}T00:00:00+00:00", labels=("a", "b"), parts=(),
        inputs=(), extractor="", recipes=(), members=(), metrics={}, parity={},
    )  # fmt: skip
    write_bundle(locate(place), manifest, {GRAPH: graph, "model_card.md": b"# card"})
    return locate(place)


@pytest.fixture
def registry(tmp_path: Path) -> Location:
    return locate(tmp_path / "registry")


def test_what_is_pulled_is_what_was_pushed(registry: Location, tmp_path: Path) -> None:
    bundle = made(tmp_path / "a")
    published, written = push(bundle, registry)
    assert written
    assert published.place == registry / "signs" / "1"
    fetched, _ = pull(registry, "signs", "1", locate(tmp_path / "b"))
    assert fetched.manifest == read_bundle(bundle).manifest
    for name in (GRAPH, MANIFEST, "model_card.md"):
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()


def test_pushing_and_pulling_again_does_nothing(registry: Location, tmp_path: Path) -> None:
    bundle = made(tmp_path / "a")
    push(bundle, registry)
    pull(registry, "signs", None, locate(tmp_path / "b"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert not push(bundle, registry)[1]
    assert not pull(registry, "signs", None, locate(tmp_path / "b"))[1]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_published_version_never_changes(registry: Location, tmp_path: Path) -> None:
    push(made(tmp_path / "a"), registry)
    with pytest.raises(UserError, match="with other contents; a published version never changes"):
        push(made(tmp_path / "b", graph=b"other"), registry)
    assert read_bundle(registry / "signs" / "1").graph == b"graph"


def test_a_push_that_was_killed_is_no_bundle_and_is_repeated(registry: Location, tmp_path: Path) -> None:
    bundle = made(tmp_path / "a")
    place, _ = push(bundle, registry)
    (place.place / MANIFEST).delete()  # it comes last
    (place.place / "model_card.md").delete()
    assert versions(registry) == []
    with pytest.raises(UserError, match="holds no bundle 'signs'; it has none"):
        pull(registry, "signs", None, locate(tmp_path / "b"))
    assert push(bundle, registry)[1]
    assert read_bundle(place.place).graph == b"graph"


def test_a_damaged_file_is_not_fetched_as_a_bundle(registry: Location, tmp_path: Path) -> None:
    push(made(tmp_path / "a"), registry)
    (registry / "signs" / "1" / GRAPH).write_bytes(b"grbph")
    with pytest.raises(UserError, match="its sha256 differs"):
        pull(registry, "signs", None, locate(tmp_path / "b"))
    assert not (tmp_path / "b" / MANIFEST).exists()


def test_a_damaged_bundle_is_not_published(registry: Location, tmp_path: Path) -> None:
    bundle = made(tmp_path / "a")
    (bundle / GRAPH).write_bytes(b"grbph")
    with pytest.raises(UserError, match="its sha256 differs"):
        push(bundle, registry)
    assert not registry.exists()


def test_the_newest_is_fetched_unless_a_version_is_named(registry: Location, tmp_path: Path) -> None:
    for version in ("2", "1"):
        push(made(tmp_path / version, version=version, graph=version.encode()), registry)
    push(made(tmp_path / "falls", name="falls"), registry)
    assert pull(registry, "signs", None, locate(tmp_path / "newest"))[0].manifest.version == "2"
    assert pull(registry, "signs", "1", locate(tmp_path / "first"))[0].manifest.version == "1"
    shown = [(one.manifest.name, one.manifest.version) for one in versions(registry)]
    assert shown == [("falls", "1"), ("signs", "1"), ("signs", "2")]


def test_unknown_names_and_versions_are_refused_with_those_that_exist(registry: Location, tmp_path: Path) -> None:
    push(made(tmp_path / "a"), registry)
    with pytest.raises(UserError, match="holds no bundle 'falls'; it has signs"):
        pull(registry, "falls", None, locate(tmp_path / "b"))
    with pytest.raises(UserError, match="holds no version '9' of 'signs'; it has 1"):
        pull(registry, "signs", "9", locate(tmp_path / "b"))


def test_another_bundle_is_not_overwritten_by_a_pull(registry: Location, tmp_path: Path) -> None:
    push(made(tmp_path / "a"), registry)
    there = made(tmp_path / "b", version="2")
    with pytest.raises(UserError, match=r"holds signs/2 .* with other contents; choose another --out"):
        pull(registry, "signs", None, there)


def test_a_version_under_another_name_than_its_own_is_refused(registry: Location, tmp_path: Path) -> None:
    push(made(tmp_path / "a"), registry)
    shutil.move(f"{registry}/signs/1", f"{registry}/signs/3")
    with pytest.raises(UserError, match="holds signs/1; it was moved"):
        versions(registry)


@pytest.mark.parametrize("field", ["name", "version"])
@pytest.mark.parametrize("value", ["../up", "a/b", ".hidden", ""])
def test_no_name_leads_out_of_the_registry(tmp_path: Path, registry: Location, field: str, value: str) -> None:
    bundle = made(tmp_path / "a")
    manifest = json.loads((bundle / MANIFEST).read_bytes()) | {field: value}
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="damaged"):
        push(bundle, registry)
