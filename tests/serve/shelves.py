"""Shelves of bundles for tests in this process."""

from dataclasses import replace

from serve.hosting.shelf import Shelf, open_model
from serve.settings import Limits, Served, Settings
from sigflow.bundle import Bundle


def shelf_of(*bundles: Bundle, limits: Limits | None = None) -> Shelf:
    """All of them at the same share."""
    settings = Settings(limits=limits or Limits())
    return Shelf([open_model(Served(bundle="here"), bundle, settings) for bundle in bundles], settings.limits)


def renamed(bundle: Bundle, **changes: str) -> Bundle:
    """The bundle with another `name` or `version`."""
    return replace(bundle, manifest=bundle.manifest.model_copy(update=changes))
