"""If these fail, a bundle carries a graph that was not measured, or does not say what was left out and why."""

import sys
from pathlib import Path

import onnx
import pytest

from sigflow.bundle import CARD, GRAPH, PRECISIONS, Manifest, read_bundle
from sigflow.data.clips import load_clips
from sigflow.ensemble import Ensemble, average
from sigflow.errors import UserError
from sigflow.export import Exported
from sigflow.export.gate import Limits
from sigflow.pipelines import precisions
from sigflow.pipelines.bundle import bundle_exported
from sigflow.pipelines.material import clip_inputs, read_material
from sigflow.predictor import Predictor
from sigflow.storage import Location, locate


@pytest.fixture(scope="module")
def ensemble(trained_run: Location) -> Ensemble:
    return average([trained_run])


@pytest.fixture(scope="module")
def manifest(full_bundle: Location) -> Manifest:
    return read_bundle(full_bundle).manifest


def test_every_precision_is_there_with_its_figures_or_refused_with_its_reason(
    full_bundle: Location, manifest: Manifest
) -> None:
    assert tuple(manifest.precisions) == PRECISIONS
    for precision, tried in manifest.precisions.items():
        last = tried.attempts[-1]
        assert (tried.file is None) == bool(last.reasons)
        assert (tried.file in manifest.files) == (tried.file is not None)
        if precision != "fp32" and tried.file:
            assert last.figures["agreement"] >= 0.98
            assert last.figures["bytes"] == (full_bundle / tried.file).size() < (full_bundle / GRAPH).size()
            assert {"accuracy", "ece", "random", "answers", "batch", "milliseconds", "worst_class"} <= set(last.figures)
    assert manifest.precisions["fp16"].file
    assert manifest.precisions["int8"].file


def test_each_precision_can_be_loaded_and_says_which_it_is(full_bundle: Location, gesture_landmarks: Location) -> None:
    clips = load_clips(gesture_landmarks, ("left_hand", "right_hand"))
    answers = {}
    for precision in PRECISIONS:
        predictor = Predictor(read_bundle(full_bundle, precision))
        assert predictor.precision == precision
        answers[precision] = predictor.predict(clip_inputs(clips, range(20)))
    same = [
        sum(a.argmax() == b.argmax() for a, b in zip(answers["fp32"], answers[precision], strict=True))
        for precision in PRECISIONS
    ]
    assert min(same) >= 19


def test_calibration_and_measuring_never_share_a_clip(ensemble: Ensemble, trained_run: Location) -> None:
    material = read_material(ensemble)
    assert material.calibration
    assert not set(material.calibration) & set(material.gate)
    assert material.unseen == []
    assert material.measured_on.startswith("clips that fold models were trained on")
    folds = (trained_run / "folds.parquet").read_parquet().to_pylist()
    trained = {row["clip_id"] for row in folds if (row["fold"], row["role"]) == (0, "train")}
    ids = material.clips.column("clip_id")
    assert {ids[row] for row in material.calibration} <= trained


def test_a_precision_that_misses_a_limit_is_left_out_with_the_figure_and_the_limit(
    ensemble: Ensemble, exported_run: Exported, tmp_path: Path
) -> None:
    out = locate(tmp_path / "bundle")
    manifest = bundle_exported(ensemble, exported_run, out, precisions=("fp16",), limits=Limits(size=0.1, slowdown=99))
    (attempt,) = manifest.precisions["fp16"].attempts
    assert manifest.precisions["fp16"].file is None
    assert attempt.reasons[0].startswith("of fp32's bytes: 0.5")
    assert attempt.reasons[0].endswith("at most 0.1")
    assert set(manifest.files) == {GRAPH, CARD}
    assert manifest.gate["limits"]["size"] == 0.1
    with pytest.raises(UserError, match=r"has no fp16 graph \(of fp32's bytes: .*\); choose fp32"):
        read_bundle(out, "fp16")


def test_a_converter_that_fails_and_a_graph_that_crashes_are_reasons_not_ends(
    ensemble: Ensemble, exported_run: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("node 7 is odd")

    monkeypatch.setattr(precisions, "lower", fail)
    manifest = bundle_exported(ensemble, exported_run, locate(tmp_path / "a"), precisions=("fp16",))
    assert "RuntimeError" in manifest.precisions["fp16"].attempts[0].reasons[0]
    monkeypatch.setattr(precisions, "lower", lambda *_: b"no graph at all")
    manifest = bundle_exported(ensemble, exported_run, locate(tmp_path / "b"), precisions=("fp16",))
    assert "onnxruntime does not run it" in manifest.precisions["fp16"].attempts[0].reasons[0]


def test_where_the_clips_are_gone_fp32_is_bundled_alone_and_says_so(
    ensemble: Ensemble, exported_run: Exported, tmp_path: Path
) -> None:
    run = ensemble.members[0].run.model_copy(update={"data": str(tmp_path / "gone")})
    lost = Ensemble(
        tuple(type(member)(member.place, run, member.weight) for member in ensemble.members),
        ensemble.oof, ensemble.metrics, ensemble.best_single,
    )  # fmt: skip
    manifest = bundle_exported(lost, exported_run, locate(tmp_path / "bundle"))
    for precision in ("fp16", "int8"):
        assert "nothing to measure it on" in manifest.precisions[precision].attempts[0].reasons[0]
    assert manifest.precisions["fp32"].file == GRAPH


def test_the_bundle_says_what_it_is_made_of(manifest: Manifest) -> None:
    assert manifest.decoding.method == "argmax"
    assert [(value.name, value.shape) for value in manifest.outputs] == [("probs", ("batch", 3))]
    assert manifest.temperature == 1.0
    assert manifest.provenance["data_fingerprint"]
    assert manifest.provenance["exported_with"]["packages"]["onnxruntime"]
    assert manifest.stream
    assert 0.3 <= manifest.stream.window_s <= 2.0
    assert manifest.stream.watched == ("left_hand", "right_hand")
    assert manifest.metrics["measured_on"] == "estimated from OOF"
    assert set(manifest.metrics["oof"]["per_class"]) == set(manifest.labels)


def test_nothing_of_the_exporting_machine_is_in_it(full_bundle: Location, trained_run: Location) -> None:
    for file in full_bundle.files():
        data = file.read_bytes()
        for trace in (sys.prefix, str(Path(__file__).parents[2]), trained_run.uri, "site-packages"):
            assert trace.encode() not in data, file


def test_the_card_tells_of_every_precision_and_class(full_bundle: Location, manifest: Manifest) -> None:
    card = (full_bundle / CARD).read_bytes().decode()
    assert card.startswith("# Model card: gestures")
    for said in (*manifest.labels, "fp32", "fp16", "int8", "Estimated from out-of-fold", "in the bundle"):
        assert said.replace("_", r"\_") in card


def test_every_graph_is_valid_onnx(full_bundle: Location, manifest: Manifest) -> None:
    for tried in manifest.precisions.values():
        if tried.file and tried.attempts[-1].method != "dynamic":
            onnx.checker.check_model(onnx.load_from_string((full_bundle / tried.file).read_bytes()), full_check=True)
