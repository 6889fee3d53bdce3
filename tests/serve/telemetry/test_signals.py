"""If these fail, a model that says one word to everything, or sees what it never saw, serves on unseen."""

import asyncio
import json
import logging

import numpy as np
import pytest

from serve.api import make_api
from serve.hosting.answers import ask
from serve.hosting.shelf import Shelf, open_model
from serve.settings import Served, Settings
from serve.telemetry.meters import METRICS
from serve.telemetry.signals import ENOUGH, Signals, Tags, divergence, reference
from sigflow.bundle import Bundle, Manifest, read_bundle
from sigflow.predictor import Answer, ClipInput
from sigflow.storage import Location
from tests.serve.shelves import renamed, shelf_of
from tests.serve.test_api import FRAME, PREDICT, Client, one

LABELS = ("a", "b", "c", "d")
SEEN = {"holdout": {"per_class": {label: {"given": 25} for label in LABELS}}}
CLIP = ClipInput({"right_hand": np.full((5, 21, 3), 0.5, np.float32)}, np.arange(5, dtype=np.float32), 1.0)
NOTHING = ClipInput({"right_hand": np.full((5, 21, 3), np.nan, np.float32)}, np.arange(5, dtype=np.float32), 1.0)


@pytest.fixture(scope="module")
def bundle(exported_bundle: Location) -> Bundle:
    return read_bundle(exported_bundle)


def manifest(**changes: object) -> Manifest:
    return Manifest.model_validate(
        {
            "name": "it", "version": "1", "created": "", "labels": LABELS, "parts": (), "inputs": (), "extractor": "",
            "recipes": (), "members": (), "metrics": SEEN, "parity": {},
        } | changes
    )  # fmt: skip


def saying(*classes: int) -> list[Answer]:
    return [Answer(0.1 + 0.6 * np.eye(len(LABELS))[k]) for k in classes]


def test_answers_like_those_that_were_measured_raise_nothing() -> None:
    signals = Signals(manifest())
    answers = saying(*([0, 1, 2, 3] * 50))
    signals.add([CLIP] * len(answers), answers)
    now = signals.now
    assert now["labels"] == pytest.approx(dict.fromkeys(LABELS, 0.25))
    assert now["drift"] == pytest.approx(0)
    assert now["collapsed"] is False
    assert now["diversity"] == pytest.approx(1)
    assert now["confidence"] == pytest.approx(0.7)


def test_one_label_for_everything_is_a_collapse_and_a_drift() -> None:
    signals = Signals(manifest())
    signals.add([CLIP] * 200, saying(*[2] * 200))
    assert signals.now["collapsed"] is True
    assert signals.now["top_share"] == 1.0
    assert signals.now["drift"] > 0.5


def test_old_answers_are_forgotten_and_few_say_nothing() -> None:
    signals = Signals(manifest())
    signals.add([CLIP] * (ENOUGH - 1), saying(*[2] * (ENOUGH - 1)))
    assert signals.now["collapsed"] is None
    answers = saying(*([0, 1, 2, 3] * 300))
    signals.add([CLIP] * len(answers), answers)
    later = signals.now
    assert later["collapsed"] is False
    assert later["answers"] == ENOUGH - 1 + 1200


def test_clips_without_anything_to_see_count_as_missing_and_not_as_answers() -> None:
    signals = Signals(manifest())
    signals.add([NOTHING] * 300, saying(*[2] * 300))
    assert signals.now["found"] == 0.0
    assert signals.now["window"] == 0


def test_sentences_that_are_all_blank_are_a_collapse() -> None:
    counts = {label: {"given": 25} for label in LABELS[1:]}
    signals = Signals(manifest(task="sentences", metrics={"holdout": {"per_gloss": counts}}))
    blank = Answer(np.tile([0.97, 0.01, 0.01, 0.01], (8, 1)))
    spoken = Answer(np.eye(4)[[0, 1, 0, 2, 3, 0]])
    signals.add([CLIP] * 60, [spoken] * 60)
    assert signals.now["collapsed"] is False
    signals.add([CLIP] * 500, [blank] * 500)
    assert signals.now["labels"] == {"a": 1.0}
    assert signals.now["collapsed"] is True


def test_divergence_is_nothing_for_the_same_and_one_bit_for_what_has_nothing_in_common() -> None:
    assert divergence(np.array([0.5, 0.5, 0]), np.array([0.5, 0.5, 0])) == 0
    assert divergence(np.array([1.0, 0, 0]), np.array([0, 0.5, 0.5])) == pytest.approx(1)
    assert reference(manifest(metrics={})) is None


def test_a_drifted_input_raises_the_signal_over_http(bundle: Bundle) -> None:
    labels = bundle.manifest.labels
    expected = {"oof": {"per_class": {label: {"given": 20} for label in labels}}}
    told = bundle.manifest.model_copy(update={"metrics": expected})
    client = Client(make_api(shelf_of(Bundle(told, bundle.graph))))
    frozen = [one(landmarks={"right_hand": [FRAME] * 20})] * 120  # a hand that never moves, as no clip was
    body = {"instances": frozen, "top_k": 1}
    assert client.post(PREDICT, json=body).status_code == 200
    (now,) = client.get("/v1/models/gestures/signals").json()["versions"]
    assert now["collapsed"] is True
    assert now["drift"] > 0.3


def test_a_shadow_is_asked_what_clients_ask_and_its_agreement_counted(bundle: Bundle) -> None:
    settings = Settings()
    shadow = open_model(Served(bundle="b", shadow=True), renamed(bundle, version="next"), settings)
    shelf = Shelf([open_model(Served(bundle="a"), bundle, settings), shadow])
    hand = np.random.default_rng(0).uniform(0.2, 0.8, (20, 21, 3)).astype(np.float32)
    clip = ClipInput({"right_hand": hand}, np.arange(20, dtype=np.float32) / 30, 1.3)

    async def main() -> None:
        await ask(shelf, shelf.find("gestures"), [clip] * 3)
        while shadow.signals.now["shadow"]["agrees"] < 3:
            await asyncio.sleep(0)

    asyncio.run(main())
    assert shadow.signals.now["shadow"] == {"agrees": 3, "differs": 0}
    assert shadow.signals.now["answers"] == 0  # no client was told


def test_requests_are_counted_and_logged_without_what_they_hold(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[str, float, Tags]] = []
    shelf = Shelf([open_model(Served(bundle="a"), bundle, Settings())], meter=lambda *each: told.append(each))
    client = Client(make_api(shelf))
    with caplog.at_level(logging.INFO, "ray.serve.sigflow"):
        client.post(PREDICT, json=one())
        client.post(PREDICT, json=one(landmarks={"pose": [FRAME]}))
        client.post("/v1/models/no-such-model:predict", json=one())
        client.get("/healthz")
    counted = [tags for name, _, tags in told if name == "requests_total"]
    assert [(tags["route"], tags["model"], tags["status"]) for tags in counted] == [
        ("/v1/models/{name}:predict", "gestures", "200"), ("/v1/models/{name}:predict", "gestures", "422"),
        ("/v1/models/{name}:predict", "", "404"), ("/healthz", "", "200"),
    ]  # fmt: skip
    assert len(caplog.records) == 3
    clocks = {"asctime", "created", "msecs", "relativeCreated"}  # whose digits may be those of a landmark
    line = json.dumps([{k: str(v) for k, v in record.__dict__.items() if k not in clocks} for record in caplog.records])
    assert "0.1" not in line
    assert "no-such-model" not in line
    for name, _, tags in told:
        assert set(tags) <= set(METRICS[name].tags)
