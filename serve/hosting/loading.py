"""Bundles to models that are ready to answer."""

from dataclasses import dataclass

from serve.hosting.batching import Batcher
from serve.settings import Served, Settings
from serve.telemetry.signals import Meter, Signals, unmeasured
from sigflow.bundle import Bundle, Manifest, read_bundle, read_manifest
from sigflow.predictor import Predictor
from sigflow.storage import locate


@dataclass(frozen=True)
class Model:
    """A loaded bundle."""

    served: Served
    predictor: Predictor
    batcher: Batcher
    signals: Signals

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self.predictor.manifest


def load(served: Served, settings: Settings, meter: Meter = unmeasured) -> Model:
    """Read, verify, make ready to answer.

    Raises:
        UserError: no good bundle there.
    """
    return open_model(served, read_bundle(locate(served.bundle, patient=False), served.precision), settings, meter)


def renew(model: Model, served: Served, before: Settings, settings: Settings, meter: Meter = unmeasured) -> Model:
    """`model` as other settings want it; loaded again only where its folder holds another bundle now.

    Raises:
        UserError: no good bundle there any more.
    """
    there = read_manifest(locate(served.bundle, patient=False))
    if there.sha256 != model.manifest.sha256 or settings.threads != before.threads:
        return load(served, settings, meter)
    same = (settings.limits.waiting_clips, settings.batch_frames) == (before.limits.waiting_clips, before.batch_frames)
    batcher = model.batcher if same else _batcher(model.predictor, settings, meter)
    return Model(served, model.predictor, batcher, model.signals)


def open_model(served: Served, bundle: Bundle, settings: Settings, meter: Meter = unmeasured) -> Model:
    """A model of a bundle that was read."""
    predictor = Predictor(bundle, threads=settings.threads)
    return Model(served, predictor, _batcher(predictor, settings, meter), Signals(bundle.manifest, meter))


def _batcher(predictor: Predictor, settings: Settings, meter: Meter) -> Batcher:
    tags = {"model": predictor.manifest.name, "version": predictor.manifest.version}

    def told(clips: int, waiting: int) -> None:
        meter("batch_clips", clips, tags)
        meter("waiting_clips", waiting, tags)

    made = predictor.manifest.precisions.get(predictor.precision)
    company_counts = bool(made and made.attempts and made.attempts[-1].method == "dynamic")
    return Batcher(
        predictor, together=not company_counts, most_waiting=settings.limits.waiting_clips,
        batch_frames=settings.batch_frames, told=told,
    )  # fmt: skip
