"""Some clips of a data set with their landmarks drawn, for a person to look at."""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from sigflow.report import contact_sheet
from sigflow.schema import LANDMARKS_DIR
from sigflow.storage import Location


def draw_preview(out: Location, count: int) -> None:
    """`out`/preview.png: up to `count` clips, of as many labels and subjects as there are."""
    files = (out / LANDMARKS_DIR).files(".parquet")
    if not files:
        return
    named = pa.concat_tables(
        [
            file.read_parquet(["clip_id", "label", "subject"]).append_column("file", pa.array([number] * file.rows()))
            for number, file in enumerate(files)
        ]
    )
    # Round robin over labels and subjects: the first of each pair, then the second, ...
    places: Counter[tuple[str | None, str | None]] = Counter()
    order = []
    for row in named.sort_by("clip_id").to_pylist():
        pair = (row["label"], row["subject"])
        order.append((places[pair], row["clip_id"], row["file"]))
        places[pair] += 1
    chosen = sorted(order)[:count]
    rows = []
    for number in sorted({file for _, _, file in chosen}):
        table = files[number].read_parquet()
        wanted = pa.array([clip_id for _, clip_id, file in chosen if file == number])
        rows.append(table.filter(pc.is_in(table["clip_id"], wanted)))
    (out / "preview.png").write_bytes(contact_sheet(pa.concat_tables(rows, promote_options="default")))
