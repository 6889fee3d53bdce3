"""Some clips of a data set, for a person to look at: with their landmarks drawn, and their features over time."""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sigflow.errors import UserError
from sigflow.report import contact_sheet
from sigflow.schema import LANDMARKS_DIR
from sigflow.storage import Location

# What of topology.MODELS each kind of feature reads.
FEATURES = {"hand": ("hands",), "body": ("pose",), "lips": ("face",), "phonology": ("hands", "pose")}


def check_preview(count: int, kinds: Sequence[str], models: Sequence[str]) -> None:
    """Whether `draw_preview` will find what it needs in what is extracted with `models`.

    Raises:
        UserError: it will not.
    """
    if kinds and not count:
        raise UserError(f"--feature {','.join(kinds)} is drawn for the clips of --preview N; give that too")
    for kind in kinds:
        if lacking := [model for model in FEATURES[kind] if model not in models]:
            wanted = ",".join([*models, *lacking])
            raise UserError(f"--feature {kind} reads {' and '.join(FEATURES[kind])}; extract with --parts {wanted}")


def draw_preview(out: Location, count: int, kinds: Sequence[str] = ()) -> None:
    """Up to `count` clips, of as many labels and subjects as there are.

    `out`/preview.png shows frames with their landmarks, `out`/preview_<kind>.png each of FEATURES over time.
    """
    files = (out / LANDMARKS_DIR).files(".parquet")
    if not files:
        return
    rows = _choose(files, count)
    (out / "preview.png").write_bytes(contact_sheet(rows))
    if kinds:
        # Not at the head: every extracting worker reads this file, and would wait for torch, which it does not use.
        from sigflow.pipelines.feature_preview import draw_feature

        for kind in kinds:
            (out / f"preview_{kind}.png").write_bytes(draw_feature(rows, kind))


def _choose(files: Sequence[Location], count: int) -> pa.Table:
    """Round robin over labels and subjects: the first clip of each pair, then the second, ..."""
    named = pa.concat_tables(
        [
            file.read_parquet(["clip_id", "label", "subject"]).append_column("file", pa.array([number] * file.rows()))
            for number, file in enumerate(files)
        ]
    )
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
    return pa.concat_tables(rows, promote_options="default")
