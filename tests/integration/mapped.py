"""Trains as jobs/train.py does, but as if there were no memory: python -m tests.integration.mapped DATA OUT."""

import json
import sys

from sigflow.audit import known_codes
from sigflow.data import spool
from sigflow.pipelines.train import train
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.storage import locate

FOLDS = "3"
SETTINGS = ("train.epochs=30", "train.patience=30", "model.hidden=[16]", "model.dense=8", "model.dropout=0.3")


def main() -> None:
    """Metrics as JSON, last on stdout."""
    spool.MEMORY_SHARE = 0.0
    data, out = map(locate, sys.argv[1:])
    recipe = override(find_recipe("isolated_gestures"), SETTINGS)
    print(json.dumps(train(recipe, data, out, folds_spec=FOLDS, workers=2, resume=True, force=known_codes())))


if __name__ == "__main__":
    main()
