"""If these fail, a change of bundles loses requests, or versions get other shares than they were given."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from serve.hosting.shelf import Shelf, open_model
from serve.problems import ProblemError
from serve.settings import Limits, Served, Settings
from sigflow.bundle import Bundle, read_bundle, write_bundle
from sigflow.errors import UserError
from sigflow.storage import Location, locate
from tests.serve.shelves import renamed


@pytest.fixture(scope="module")
def bundle(exported_bundle: Location) -> Bundle:
    return read_bundle(exported_bundle)


def shelf(*given: tuple[Bundle, Served]) -> Shelf:
    return Shelf([open_model(served, bundle, Settings()) for bundle, served in given])


def test_versions_answer_by_their_shares_and_shadows_never(bundle: Bundle) -> None:
    there = shelf(
        (bundle, Served(bundle="a", share=3)),
        (renamed(bundle, version="canary"), Served(bundle="b", share=1)),
        (renamed(bundle, version="shadow"), Served(bundle="c", shadow=True)),
        (renamed(bundle, version="by-name"), Served(bundle="d", share=0)),
    )
    drawn = Counter(there.find("gestures").manifest.version for _ in range(4000))
    assert drawn.keys() == {"1a2b3c", "canary"}
    assert 0.2 < drawn["canary"] / 4000 < 0.3
    assert [model.manifest.version for model in there.shadows("gestures")] == ["shadow"]
    assert there.find("gestures", "by-name").manifest.version == "by-name"


def test_what_is_unknown_is_not_found_with_what_there_is(bundle: Bundle) -> None:
    with pytest.raises(ProblemError, match="no model 'signs'; there are gestures") as refused:
        shelf((bundle, Served(bundle="a"))).find("signs")
    assert refused.value.status == 404
    with pytest.raises(ProblemError, match="no model 'signs'; there are none"):
        Shelf().find("signs")


def test_a_shelf_that_nobody_could_be_answered_from_is_refused(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="gestures/1a2b3c is to be served twice"):
        shelf((bundle, Served(bundle="a")), (bundle, Served(bundle="b")))
    with pytest.raises(UserError, match="nothing would answer for 'gestures'"):
        shelf((bundle, Served(bundle="a", shadow=True)))


def test_a_change_keeps_what_stays_loads_what_is_new_and_is_whole_or_not_at_all(
    exported_bundle: Location, bundle: Bundle, tmp_path: Path
) -> None:
    other = locate(tmp_path / "other")
    write_bundle(other, renamed(bundle, version="2").manifest, {"model.fp32.onnx": bundle.graph})
    first, second = Served(bundle=exported_bundle.uri), Served(bundle=other.uri)
    there = Shelf()
    asyncio.run(there.change(Settings(bundles=(first,))))
    kept = there.find("gestures")
    asyncio.run(there.change(Settings(bundles=(first, second), limits=Limits(clips=7))))
    assert there.find("gestures", "1a2b3c").predictor is kept.predictor
    assert there.find("gestures", "2").served == second
    assert there.limits.clips == 7
    with pytest.raises(UserError, match="holds no bundle"):
        asyncio.run(there.change(Settings(bundles=(Served(bundle=str(tmp_path / "none")),))))
    assert len(there.models) == 2
    asyncio.run(there.change(Settings(bundles=(second,))))
    assert [model.manifest.version for model in there.models] == ["2"]
