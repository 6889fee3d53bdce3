"""A server without Ray, in a process of its own: `python -m tests.serve.standalone PORT`."""

import sys

import uvicorn

from serve.api import make_api
from tests.serve.shelves import shelf_of
from tests.serve.tiny import tiny_bundle

if __name__ == "__main__":
    uvicorn.run(make_api(shelf_of(tiny_bundle())), port=int(sys.argv[1]), log_level="warning")
