"""The Ray Serve application: one deployment that holds the bundles, so that a request makes no second hop."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import ValidationError
from ray import serve
from ray.serve import Application

from serve.api import make_api
from serve.guard import Door
from serve.settings import Settings
from serve.shelf import Shelf
from sigflow.bundle import PRECISIONS, read_bundle
from sigflow.errors import UserError
from sigflow.storage import locate


def build(args: dict[str, str]) -> Application:
    """The application for `serve run serve.app:build bundles=DIR,DIR precision=int8`."""
    precision = args.get("precision", "fp32")
    if precision not in PRECISIONS:
        raise UserError(f"'{precision}' is not of {', '.join(PRECISIONS)}")
    places = [place for place in args.get("bundles", "").split(",") if place]
    return deployment(settings_of({"bundles": [{"bundle": locate(it).uri, "precision": precision} for it in places]}))


def settings_of(values: Mapping[str, Any]) -> Settings:
    """Settings from JSON or YAML.

    Raises:
        UserError: an unknown key, or a value that is not allowed.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"settings: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def deployment(settings: Settings) -> Application:
    """The application with these settings; bundles are verified here first, so that bad ones never reach a replica."""
    if not settings.bundles:
        raise UserError("no bundle to serve; give the --out of jobs/ensemble.py")
    for served in settings.bundles:
        read_bundle(locate(served.bundle), served.precision)
    replicas = serve.deployment(
        Recognisers, name="recognisers", ray_actor_options={"num_cpus": 0.5}, user_config=settings.model_dump()
    )
    return replicas.bind()


@serve.ingress()
class Recognisers:
    """A replica: loads the bundles, then answers."""

    def __init__(self) -> None:
        self._shelf, self._door = Shelf(), Door()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Serve what the settings say from now on; requests are answered meanwhile."""
        settings = settings_of(user_config)
        self._door.change(settings.access)
        await self._shelf.change(settings)

    def __serve_build_asgi_app__(self) -> FastAPI:
        # Ray calls this in the replica; an application given to `ingress` is pickled, and loses its error handlers.
        return make_api(self._shelf, self._door, names_answers=False)
