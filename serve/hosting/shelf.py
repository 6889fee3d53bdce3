"""The bundles of a replica: by name and version, changed while requests are answered."""

import asyncio
import random
from collections.abc import Sequence
from functools import partial

from serve.hosting.loading import Model, load, open_model, renew
from serve.hosting.on_demand import OnDemand
from serve.problems import RETRY_AFTER, ProblemError
from serve.settings import Limits, Settings
from serve.telemetry.signals import Meter, unmeasured
from sigflow.errors import UserError

__all__ = ["Model", "Shelf", "open_model"]


class Shelf:
    """What is served now. Requests that hold a model keep it until they are answered, whatever comes after it.

    Attributes:
        refused: the last change could not be made, and what was served before is served still.
        draining: it is about to stop, and nobody new should come.
    """

    def __init__(self, models: Sequence[Model] = (), limits: Limits | None = None, meter: Meter = unmeasured) -> None:
        self.meter = meter
        self.limits = limits or Limits()
        self.refused, self.draining = False, False
        self._models: tuple[Model, ...] = ()
        self._on_demand: OnDemand | None = None
        self._settings = Settings(limits=self.limits)
        self._changing = asyncio.Lock()
        self.put(models)

    @property
    def models(self) -> tuple[Model, ...]:
        """All that stand here, shadows too, by name and version; none of a registry's."""
        return self._models

    @property
    def ready(self) -> bool:
        """Whether there is anything to answer with."""
        return bool(self._models) or self._on_demand is not None

    @property
    def settings(self) -> Settings:
        """Those of the last change that was made."""
        return self._settings

    @property
    def running_s(self) -> float:
        """How long the longest run of a graph that goes on has taken."""
        loaded = [*self._models, *(self._on_demand.loaded if self._on_demand else ())]
        return max((model.batcher.running_s for model in loaded), default=0.0)

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
        async with self._changing:
            self.refused = True  # until it is made
            if not settings.bundles and settings.registry is None:
                raise UserError("no bundle to serve; give 'bundles' or a 'registry'")
            before, old = self._settings, {(it.served.bundle, it.served.precision): it for it in self._models}
            models = []
            for served in settings.bundles:
                known = old.get((served.bundle, served.precision))
                work = partial(renew, known, served, before) if known else partial(load, served)
                models.append(await asyncio.to_thread(work, settings, self.meter))
            same = settings == before.model_copy(update={"bundles": settings.bundles})
            on_demand = self._on_demand if same else None
            if settings.registry and not on_demand:
                on_demand = OnDemand(settings.registry, lambda served: load(served, settings, self.meter))
            self.put(models)
            self.limits, self._settings, self._on_demand, self.refused = settings.limits, settings, on_demand, False

    async def fetch(self, name: str, version: str | None = None) -> Model:
        """`find`; what does not stand here is taken from the registry, which may take the time to load it.

        Raises:
            ProblemError: 404, no such model; 503, it cannot be loaded now, or not within the deadline.
        """
        try:
            return self.find(name, version)
        except ProblemError:
            if self._on_demand is None:
                raise
            try:
                async with asyncio.timeout(self.limits.deadline_s):
                    model = await self._on_demand.get(name, version)
            except TimeoutError as error:
                raise ProblemError(503, f"'{name}' is being loaded; try again", RETRY_AFTER) from error
            if model is None:
                raise
            return model

    async def versions(self) -> dict[str, list[str]]:
        """Those in the registry, by name."""
        return (
            {} if self._on_demand is None else {key: [*them] for key, them in (await self._on_demand.names()).items()}
        )

    def find(self, name: str, version: str | None = None) -> Model:
        """Who answers, of those that stand here: that version, or one of the name's versions by their shares.

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
