"""A data set of sentences, composed of the isolated clips of another one."""

import time
from typing import Any

from sigflow.data.clips import load_clips
from sigflow.data.sentences import compose
from sigflow.errors import UserError
from sigflow.pipelines.commit import commit_block
from sigflow.pipelines.ingest import clip_table
from sigflow.schema import LANDMARKS_DIR
from sigflow.storage import Location

_SENTENCES_PER_FILE = 500


def compose_sentences(
    data: Location, out: Location, *, parts: tuple[str, ...], count: int, glosses: tuple[int, int], seed: int
) -> dict[str, Any]:
    """Write `count` sentences; the same arguments and data give the same files.

    Raises:
        UserError: `out` holds something already, or the data has nothing to compose.
    """
    started = time.monotonic()
    if (out / LANDMARKS_DIR).files(".parquet"):
        raise UserError(f"{out} holds clips already; give an --out that does not exist")
    clips = compose(load_clips(data, parts), count, glosses=glosses, seed=seed)
    rows = clips.table.to_pylist()
    for start in range(0, count, _SENTENCES_PER_FILE):
        tables = []
        for number in range(start, min(start + _SENTENCES_PER_FILE, count)):
            frames = slice(int(clips.offsets[number]), int(clips.offsets[number + 1]))
            columns = rows[number] | {"time_ms": 1000 * clips.time_s_S[frames].double().numpy()}
            columns |= {part: points[frames].flatten(1).numpy() for part, points in clips.parts.items()}
            tables.append(clip_table(columns))
        commit_block(out, [row["clip_id"] for row in rows[start : start + len(tables)]], tables, [])
    return {
        "clips": count,
        "frames": int(clips.offsets[-1]),
        "glosses": len({gloss for row in rows for gloss in row["glosses"]}),
        "seconds": round(time.monotonic() - started, 2),
        "out": out.uri,
    }
