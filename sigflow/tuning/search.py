"""What a search is: its folder belongs to it, and is gone on with only by the same one.

search.json         what is searched on what: recipes, spaces, data, folds
population.parquet  what members of a population came to, segment by segment; written when it ends
trials/<n>.json     each trial, written when it ends
trials.parquet      all of them as a table
best.json           the best recipe, which `--recipe FILE` takes
tuning.json         what came of it, as the job prints it
remeasured_<n>/     the run of the best trial on fresh folds
report/             index.html with its pictures
ray/                Ray Tune's own notes
"""

import hashlib
import json

from sigflow.config import Config
from sigflow.errors import UserError
from sigflow.recipes.recipe import Recipe
from sigflow.recipes.space import Axis
from sigflow.storage import Location
from sigflow.tuning.propose import Method


class Search(Config):
    """What search.json says."""

    recipes: tuple[Recipe, ...]
    spaces: dict[str, dict[str, Axis]]  # by the recipe's name
    data: str
    data_fingerprint: str
    folds_spec: str
    folds_fingerprint: str
    holdout: tuple[str, ...]
    method: Method

    @property
    def key(self) -> str:
        """Hash of all but the data's place: trials under another key cannot be compared with this search's."""
        return hashlib.sha256(self.model_dump_json(exclude={"data"}).encode()).hexdigest()[:16]


def start_search(place: Location, search: Search, *, resume: bool) -> None:
    """Write search.json, or accept that of the same search.

    Raises:
        UserError: something else is there, or the same search and `resume` was not asked for.
    """
    file = place / "search.json"
    if not file.exists():
        if (place / "run.json").exists():
            raise UserError(f"{place} holds a run; choose another --out")
        file.write_text(json.dumps({"key": search.key, **search.model_dump(mode="json")}, indent=1))
        return
    try:
        key = json.loads(file.read_bytes())["key"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged; choose another --out") from error
    if key != search.key:
        raise UserError(f"{place} holds a search of other recipes, settings, data or folds; choose another --out")
    if not resume:
        raise UserError(f"{place} holds this search already; add --resume to go on, or choose another --out")
