"""Models of a registry, loaded when they are first asked for; whichever was not asked for the longest goes first.

Ray's own multiplexing is not used: it sends a request to a replica that holds the model only if the client names the
model in a header, knows nothing of HAProxy, and ends a model while it answers.
"""

import asyncio
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from serve.hosting.loading import Model
from serve.problems import ProblemError
from serve.settings import Registry, Served
from sigflow.bundle import MANIFEST, versions
from sigflow.bundle.manifest import NAME
from sigflow.errors import UserError
from sigflow.storage import locate

log = logging.getLogger(__name__)
_AT_ONCE = 2  # loads: each takes the memory of a whole bundle
_FORGIVE_S = 10  # until a bundle that could not be loaded is tried again, and a registry that did not answer asked
Versions = Mapping[str, tuple[str, ...]]


class OnDemand:
    """The registry's models. Requests that hold one keep it, also when it went meanwhile.

    Storage is asked for names and versions once in `refresh_s` at most, whatever clients ask for.
    """

    def __init__(self, registry: Registry, load: Callable[[Served], Model]) -> None:
        self._registry, self._load = registry, load
        self._place = locate(registry.uri, patient=False)
        self._models: OrderedDict[tuple[str, str], asyncio.Task[Model]] = OrderedDict()
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._listing: asyncio.Task[Versions] | None = None
        self._listed_until = 0.0  # monotonic s
        self._newest: dict[str, tuple[tuple[str, ...], str]] = {}

    @property
    def loaded(self) -> list[Model]:
        """Those that answer at once."""
        return [task.result() for task in self._models.values() if task.done() and not task.exception()]

    async def names(self) -> Versions:
        """Versions of each name, as they were `refresh_s` ago at most.

        Raises:
            ProblemError: 503, the storage does not answer.
        """
        if self._listing is None or (self._listing.done() and time.monotonic() >= self._listed_until):
            self._listing = asyncio.create_task(self._list(self._listing))
        return await asyncio.shield(self._listing)

    async def get(self, name: str, version: str | None) -> Model | None:
        """That version, or the one exported last; None: there is none.

        Raises:
            ProblemError: 503, it cannot be loaded now.
        """
        known = (await self.names()).get(name, ())
        if not known or (version is not None and version not in known):
            return None
        key = (name, version or await self._last(name, known))
        if key not in self._models:
            self._models[key] = asyncio.create_task(self._open(*key))
        self._models.move_to_end(key)
        try:
            return await asyncio.shield(self._models[key])  # whoever gives up leaves the load to the others
        finally:
            self._let_go()

    async def _last(self, name: str, known: tuple[str, ...]) -> str:
        if len(known) == 1:
            return known[0]
        remembered, newest = self._newest.get(name, ((), ""))
        if remembered != known:
            try:
                there = await asyncio.to_thread(versions, self._place, name)
            except (UserError, OSError) as error:
                log.error("cannot tell the newest version of %s: %s", name, error)
                raise _not_now(f"the newest version of '{name}' is not known now; name a version") from error
            newest = there[-1].manifest.version
            self._newest[name] = known, newest
        return newest

    async def _open(self, name: str, version: str) -> Model:
        served = Served(bundle=(self._place / name / version).uri, precision=self._registry.precision)
        try:
            async with self._at_once:
                model = await asyncio.to_thread(self._load, served)
            if (model.manifest.name, model.manifest.version) != (name, version):
                raise UserError(f"{served.bundle} holds another bundle; it was moved: push it again")
        except Exception as error:
            log.error("cannot load %s/%s: %s", name, version, error)
            asyncio.get_running_loop().call_later(_FORGIVE_S, self._models.pop, (name, version), None)
            raise _not_now(f"'{name}' cannot be loaded now; the server's log says why") from error
        return model

    def _let_go(self) -> None:
        for key in [key for key, task in self._models.items() if task.done()]:
            if len(self._models) <= self._registry.max_loaded:
                return
            del self._models[key]

    async def _list(self, before: "asyncio.Task[Versions] | None") -> Versions:
        try:
            found = await asyncio.to_thread(self._published)
        except (UserError, OSError) as error:
            log.error("cannot list %s: %s", self._place, error)
            self._listed_until = time.monotonic() + _FORGIVE_S
            if before is None or before.exception():
                raise _not_now("the registry does not answer now; try again") from error
            return before.result()
        self._listed_until = time.monotonic() + self._registry.refresh_s
        return found

    def _published(self) -> Versions:
        """By the paths alone: no manifest is read."""
        found: dict[str, tuple[str, ...]] = {}
        for file in self._place.files(MANIFEST, recursive=True):
            *_, name, version, last = f"//{file.uri.removeprefix(self._place.uri).lstrip('/')}".split("/")
            if last == MANIFEST and re.match(NAME, name) and re.match(NAME, version):
                found[name] = (*found.get(name, ()), version)
        return found


def _not_now(detail: str) -> ProblemError:
    return ProblemError(503, detail, {"Retry-After": str(_FORGIVE_S)})
