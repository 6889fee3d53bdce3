"""The application behind uvicorn alone: what Ray Serve is measured against."""

import sys

import uvicorn

from serve.api import make_api
from serve.hosting.shelf import Shelf, open_model
from serve.settings import Served, Settings
from sigflow.bundle import read_bundle
from sigflow.storage import locate

if __name__ == "__main__":
    place, port = sys.argv[1:]
    served = Served(bundle=place)
    shelf = Shelf([open_model(served, read_bundle(locate(place)), Settings(bundles=(served,)))])
    uvicorn.run(make_api(shelf), host="127.0.0.1", port=int(port), log_level="warning", access_log=False)
