"""If these fail, a registry's model is not found, is loaded twice or fills the memory, or storage is asked for ever."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest

from serve.hosting.loading import Model, load
from serve.hosting.on_demand import OnDemand
from serve.hosting.shelf import Shelf
from serve.problems import ProblemError
from serve.settings import Registry, Served, Settings
from sigflow.bundle import GRAPH, MANIFEST, Bundle, read_bundle, write_bundle
from sigflow.storage import Location, locate
from tests.serve.shelves import renamed


@pytest.fixture(scope="module")
def bundle(exported_bundle: Location) -> Bundle:
    return read_bundle(exported_bundle)


@pytest.fixture(scope="module")
def place(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Location:
    """a/1, b/1, c/1 and c/2, which was exported before c/1."""
    registry = locate(tmp_path_factory.mktemp("registry"))
    for name, version, year in (("a", "1", 2025), ("b", "1", 2025), ("c", "1", 2025), ("c", "2", 2024)):
        write(registry, bundle, name, version, created=f"{year}-01-01T00:00:00+00:00")
    return registry


def write(registry: Location, bundle: Bundle, name: str, version: str, **more: str) -> None:
    made = renamed(bundle, name=name, version=version, **more)
    write_bundle(registry / name / version, made.manifest, {GRAPH: bundle.graph})


class Loads:
    """Loads, and remembers what."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, served: Served) -> Model:
        self.made.append("/".join(served.bundle.split("/")[-2:]))
        return load(served, Settings())


def models(place: Location, loads: Loads, **options: float) -> OnDemand:
    return OnDemand(Registry.model_validate({"uri": place.uri, **options}), loads)


async def version_of(asked: Awaitable[Model | None]) -> str:
    model = await asked
    assert model
    return f"{model.manifest.name}/{model.manifest.version}"


def test_many_who_come_first_wait_for_one_load(place: Location) -> None:
    async def ask() -> None:
        there = models(place, loads := Loads())
        given = await asyncio.gather(*(there.get("a", None) for _ in range(20)))
        assert len({id(model) for model in given}) == 1
        assert loads.made == ["a/1"]

    asyncio.run(ask())


def test_without_a_version_the_one_exported_last_answers(place: Location) -> None:
    async def ask() -> None:
        there = models(place, Loads())
        assert await version_of(there.get("c", None)) == "c/1"
        assert await version_of(there.get("c", "2")) == "c/2"

    asyncio.run(ask())


def test_who_was_not_asked_for_the_longest_goes_and_answers_those_who_hold_it(place: Location) -> None:
    async def ask() -> None:
        there = models(place, loads := Loads(), max_loaded=2)
        held = await there.get("a", None)
        await there.get("b", None)
        await there.get("a", None)
        await there.get("c", "1")
        assert loads.made == ["a/1", "b/1", "c/1"]
        assert [model.manifest.name for model in there.loaded] == ["a", "c"]
        await there.get("b", None)
        assert [model.manifest.name for model in there.loaded] == ["c", "b"]
        assert held
        assert held.predictor.manifest.name == "a"

    asyncio.run(ask())


@pytest.mark.parametrize("name", ["none", "..", "a/1", "../a", "%2e%2e", "a\0", ""])
def test_names_that_are_not_there_cost_one_look(place: Location, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, files = [], Location.files

    def counted(self: Location, suffix: str = "", *, recursive: bool = False) -> list[Location]:
        looks.append(self)
        return files(self, suffix, recursive=recursive)

    monkeypatch.setattr(Location, "files", counted)

    async def ask() -> None:
        there = models(place, loads := Loads())
        for _ in range(5):
            assert await there.get(name, None) is None
            assert await there.get("a", name or "none") is None
        assert (loads.made, len(looks)) == ([], 1)

    asyncio.run(ask())


def test_what_is_published_later_is_found_later(place: Location, bundle: Bundle, tmp_path: Path) -> None:
    registry = locate(tmp_path)

    async def ask() -> None:
        there = models(registry, Loads(), refresh_s=0.01)
        assert await there.get("new", None) is None
        write(registry, bundle, "new", "1")
        while await there.get("new", None) is None:
            await asyncio.sleep(0.01)

    asyncio.run(ask())


def test_a_damaged_or_moved_bundle_is_an_error_for_a_while_and_is_not_read_again(
    bundle: Bundle, tmp_path: Path
) -> None:
    registry = locate(tmp_path)
    write(registry, bundle, "damaged", "1")
    (registry / "damaged" / "1" / GRAPH).write_bytes(b"x")
    write(registry, bundle, "moved", "1")
    (registry / "elsewhere" / "1" / GRAPH).write_bytes((registry / "moved" / "1" / GRAPH).read_bytes())
    (registry / "elsewhere" / "1" / MANIFEST).write_bytes((registry / "moved" / "1" / MANIFEST).read_bytes())

    async def ask() -> None:
        there = models(registry, loads := Loads())
        for name in ("damaged", "elsewhere"):
            for _ in range(3):
                with pytest.raises(ProblemError, match="cannot be loaded now") as refused:
                    await there.get(name, None)
                assert (refused.value.status, str(tmp_path) in str(refused.value)) == (503, False)
        assert sorted(loads.made) == ["damaged/1", "elsewhere/1"]
        assert there.loaded == []

    asyncio.run(ask())


def test_a_shelf_answers_from_itself_first_and_then_from_the_registry(
    exported_bundle: Location, place: Location
) -> None:
    async def ask() -> None:
        shelf = Shelf()
        registry = Registry(uri=place.uri)
        await shelf.change(Settings(bundles=(Served(bundle=exported_bundle.uri),), registry=registry))
        assert (await shelf.fetch("gestures")).served.bundle == exported_bundle.uri
        assert await version_of(shelf.fetch("b")) == "b/1"
        with pytest.raises(ProblemError, match="no model 'd'"):
            await shelf.fetch("d")
        assert await shelf.versions() == {"a": ["1"], "b": ["1"], "c": ["1", "2"]}

    asyncio.run(ask())
