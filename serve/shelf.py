"""The bundles of a replica: by name and version, changed while requests are answered."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from serve.batching import Batcher
from serve.problems import ProblemError
from serve.settings import Limits, Served, Settings
from serve.signals import Meter, Signals, unmeasured
from sigflow.bundle import Bundle, Manifest, read_bundle
from sigflow.errors import UserError
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
    return open_model(served, read_bundle(locate(served.bundle), served.precision), settings, meter)


def open_model(served: Served, bundle: Bundle, settings: Settings, meter: Meter = unmeasured) -> Model:
    """A model of a bundle that was read."""
    predictor = Predictor(bundle, threads=settings.threads)
    made = bundle.manifest.precisions.get(bundle.precision)
    company_counts = bool(made and made.attempts and made.attempts[-1].method == "dynamic")
    tags = {"model": bundle.manifest.name, "version": bundle.manifest.version}

    def told(clips: int, waiting: int) -> None:
        meter("batch_clips", clips, tags)
        meter("waiting_clips", waiting, tags)

    batcher = Batcher(
        predictor, together=not company_counts, most_waiting=settings.limits.waiting_clips,
        batch_frames=settings.batch_frames, told=told,
    )  # fmt: skip
    return Model(served, predictor, batcher, Signals(bundle.manifest, meter))


class Shelf:
    """What is served now. Requests that hold a model keep it until they are answered, whatever comes after it."""

    def __init__(self, models: Sequence[Model] = (), limits: Limits | None = None, meter: Meter = unmeasured) -> None:
        self.meter = meter
        self.limits = limits or Limits()
        self._models: tuple[Model, ...] = ()
        self.put(models)

    @property
    def models(self) -> tuple[Model, ...]:
        """All of them, shadows too, by name and version."""
        return self._models

    def put(self, models: Sequence[Model]) -> None:
        """From now on these and no others.

        Raises:
            UserError: two of one name and version, or a name that only has shadows or shares of 0.
        """
        known = [(model.manifest.name, model.manifest.version) for model in models]
        if twice := [key for key in known if known.count(key) > 1]:
            raise UserError(f"{'/'.join(twice[0])} is to be served twice; name each bundle once")
        for name in {name for name, _ in known}:
            if not any(_answers(model) for model in models if model.manifest.name == name):
                raise UserError(f"nothing would answer for '{name}'; give one of its bundles a share above 0")
        self._models = tuple(sorted(models, key=lambda model: (model.manifest.name, model.manifest.version)))

    async def change(self, settings: Settings) -> None:
        """Serve what `settings` say. New bundles are loaded first, while the old ones answer.

        Raises:
            UserError: one of them cannot be served; nothing is changed then.
        """
        old = {(model.served.bundle, model.served.precision): model for model in self._models}
        models = []
        for served in settings.bundles:
            known = old.get((served.bundle, served.precision))
            models.append(
                replace(known, served=served) if known else await asyncio.to_thread(load, served, settings, self.meter)
            )
        self.put(models)
        self.limits = settings.limits

    def find(self, name: str, version: str | None = None) -> Model:
        """Who answers: that version, or one of the name's versions by their shares.

        Raises:
            ProblemError: 404, no such model.
        """
        named = [model for model in self._models if model.manifest.name == name]
        if not named:
            names = ", ".join(sorted({model.manifest.name for model in self._models})) or "none"
            raise ProblemError(404, f"no model {name!r}; there are {names}")
        if version is not None:
            for model in named:
                if model.manifest.version == version:
                    return model
            versions = ", ".join(model.manifest.version for model in named)
            raise ProblemError(404, f"no version {version!r} of {name!r}; there are {versions}")
        open_to_all = [model for model in named if _answers(model)]
        return random.choices(open_to_all, [model.served.share for model in open_to_all])[0]  # noqa: S311  # no secret

    def shadows(self, name: str) -> list[Model]:
        """Those that are asked too, and answer nobody."""
        return [model for model in self._models if model.manifest.name == name and model.served.shadow]


def _answers(model: Model) -> bool:
    return model.served.share > 0 and not model.served.shadow
