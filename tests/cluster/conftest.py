"""Ray Serve is imported once, here: its own use of pydantic warns, and a warning is an error in tests."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ray.serve  # noqa: F401
