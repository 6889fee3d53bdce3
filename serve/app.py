"""The Ray Serve application: one deployment that holds the bundles, so that a request makes no second hop."""

import logging
import os
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application

from serve.access.guard import Door, keyring
from serve.api import make_api
from serve.hosting.memory import return_large_blocks
from serve.hosting.shelf import Shelf
from serve.settings import Settings, settings_of, verify
from serve.telemetry.meters import Meters
from sigflow.storage import locate

log = logging.getLogger(__name__)
NAME = "recognisers"  # of the deployment: config.yaml sets its options


def build(args: dict[str, Any]) -> Application:
    """The application of `import_path: serve.app:build`.

    Without arguments the settings are the deployment's `user_config`, whose change replaces no replica. Arguments are
    the same settings, or, for `serve run serve.app:build bundles=DIR,DIR precision=int8`, folders and their precision.
    """
    if not args:
        return deployment()
    if isinstance(places := args.get("bundles"), str):
        precision = args.get("precision", "fp32")
        served = [{"bundle": locate(it).uri, "precision": precision} for it in places.split(",") if it]
        args = {key: value for key, value in args.items() if key != "precision"} | {"bundles": served}
    settings = settings_of(args)
    verify(settings)
    return deployment(settings)


def deployment(settings: Settings | None = None, **options: Any) -> Application:
    """The application with these settings, or with those of config.yaml; `options` are Ray Serve's."""
    replicas = serve.deployment(
        serve.ingress()(Recognisers),
        name=NAME,
        ray_actor_options={"num_cpus": replica_cpus(settings)},
        max_ongoing_requests=1000,  # more than may wait in a replica: its own answer to too many says more than Ray's
        max_queued_requests=1000,
        backpressure_config={"status_code": 503, "retry_after_s": 1},
        user_config=settings.model_dump(mode="json") if settings else {},
        **options,
    )
    # One version for whatever the settings are, as with `serve deploy`: Ray then changes them in place. Without it
    # `serve.run` replaces every replica each time.
    return replicas.options(version="1", _internal=True).bind()


def replica_cpus(settings: Settings | None) -> float:
    """A part of one: a replica that nobody asks takes nothing."""
    # Training takes whole CPUs: of a machine that has one or two, half of one held here would keep a whole one from it.
    trains = settings is not None and settings.page is not None and settings.page.folder is not None
    return 0.0 if trains else 0.5


class Recognisers:
    """A replica: loads the bundles, then answers."""

    def __init__(self) -> None:
        return_large_blocks()
        self._shelf, self._door = Shelf(meter=Meters()), Door()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Serve what the settings say from now on; requests are answered meanwhile.

        Ray ends a replica whose `reconfigure` raises, and every other one after it: a change that cannot be made is
        refused here, and /readyz says so. A new replica has nothing else to serve, and fails: `serve status` says why.
        """
        try:
            settings = settings_of(user_config)
            self._shelf.draining = settings.draining
            if settings.draining and self._shelf.ready:
                return
            keyring(settings.access, os.environ)  # or raises, before anything is changed
            await self._shelf.change(settings)
            self._door.change(settings.access)
        except Exception as error:
            if not self._shelf.ready:
                raise
            self._shelf.refused = True
            log.error("the old bundles are served still; the new settings were refused: %s", error)

    def check_health(self) -> None:
        """Ray asks, and replaces the replica if it fails, or if the event loop does not come to it.

        Raises:
            RuntimeError: a run of a graph hangs.
        """
        if self._shelf.running_s > self._shelf.limits.stuck_s:
            raise RuntimeError(f"a run of a graph takes {self._shelf.running_s:.0f} s")

    def __serve_build_asgi_app__(self) -> FastAPI:
        # Ray calls this in the replica; an application given to `ingress` is pickled, and loses its error handlers.
        return make_api(self._shelf, self._door, names_answers=False)
