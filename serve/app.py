"""The Ray Serve application: one deployment that holds the bundles, so that a request makes no second hop."""

from collections.abc import Sequence

from fastapi import FastAPI
from ray import serve
from ray.serve import Application

from serve.api import make_api
from sigflow.bundle import PRECISIONS, PrecisionName, read_bundle
from sigflow.errors import UserError
from sigflow.predictor import Predictor
from sigflow.storage import locate


def build(args: dict[str, str]) -> Application:
    """The application for `serve run serve.app:build bundles=DIR,DIR precision=int8`."""
    precision = args.get("precision", "fp32")
    if precision not in PRECISIONS:
        raise UserError(f"'{precision}' is not of {', '.join(PRECISIONS)}")
    return deployment([place for place in args.get("bundles", "").split(",") if place], precision)


def deployment(bundles: Sequence[str], precision: PrecisionName = "fp32") -> Application:
    """The application with these bundles, verified here first so that bad ones never reach a replica."""
    if not bundles:
        raise UserError("no bundle to serve; give the --out of jobs/ensemble.py")
    names = [read_bundle(locate(place), precision).manifest.name for place in bundles]
    if len(set(names)) < len(names):
        raise UserError(f"two bundles have the same name ({', '.join(sorted(names))}); export one with another --name")
    replicas = serve.deployment(Recognisers, name="recognisers", ray_actor_options={"num_cpus": 0.5})
    return replicas.bind([locate(place).uri for place in bundles], precision)


@serve.ingress()
class Recognisers:
    """A replica: loads the bundles, then answers."""

    def __init__(self, bundles: Sequence[str], precision: PrecisionName = "fp32") -> None:
        predictors = [Predictor(read_bundle(locate(place), precision)) for place in bundles]
        self._predictors = {predictor.manifest.name: predictor for predictor in predictors}

    def __serve_build_asgi_app__(self) -> FastAPI:
        # Ray calls this in the replica; an application given to `ingress` is pickled, and loses its error handlers.
        return make_api(self._predictors)
