"""Recorded landmarks through a bundle's stream: each sign once, with its delay; false alarms per hour.

The stream is one person after the other, of each the clips in a random order (the same each time), with rests between
them in which nothing is detected. Nothing is served: windows and events are those that the server makes of the same
frames, when it leaves out none.
Shape suffixes: T frames.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from sigflow.bundle import PrecisionName, read_bundle
from sigflow.data.clips import Clips, load_clips
from sigflow.errors import UserError
from sigflow.metrics import edit_distance
from sigflow.metrics.spotting import Done, Told, assigned, spotted
from sigflow.pipelines.material import clip_inputs, headed
from sigflow.pipelines.progress import Progress
from sigflow.predictor import ClipInput, Predictor
from sigflow.spotting import Break, Due, Event, Spotter, stream_of
from sigflow.storage import Location

_BATCH = 64  # windows


def replay(
    bundle: Location,
    data: Location,
    out: Location,
    *,
    gap_s: float = 1.0,
    subjects: Sequence[str] = (),
    precision: PrecisionName = "fp32",
) -> dict[str, Any]:
    """Play the labelled clips of `data`, of these subjects or all; write events.parquet and replay.json to `out`.

    Raises:
        UserError: no such bundle, precision, landmarks or subject, or no clip with a label that the bundle knows.
    """
    predictor = Predictor(read_bundle(bundle, precision))
    manifest = predictor.manifest
    sentences = manifest.task == "sentences"
    clips = load_clips(data, manifest.parts, mixed=True)
    rows, left_out = _chosen(clips, manifest.labels, subjects, sentences=sentences)
    answer = headed(bundle, manifest, precision, data, rows, left_out)
    stream = stream_of(manifest)
    spotter = Spotter(stream, manifest.labels, sentences=sentences)
    done: list[Done] = []
    progress = Progress(f"replay {manifest.name}", len(rows), "clips")
    dues = _played(clips, rows, spotter, (gap_s, max(gap_s, 2 * stream.window_s)), done, progress)
    events = [event for due, probs in _recognised(dues, predictor) for event in spotter.decide(due, probs)]
    told = [Told(event.label, event.start_s, event.end_s, event.at_s) for event in events]
    places = assigned(done, told)
    seconds = done[-1].end_s + max(gap_s, 2 * stream.window_s)
    if sentences:
        measured = _transcribed(done, events, places, [_words(clips, row) for row in rows])
    else:
        meant = [span._replace(label=None) if span.label in stream.ignored else span for span in done]
        measured = spotted(meant, told, seconds)
    answer |= {"hours": seconds / 3600, "gap_s": gap_s, "stream": stream.model_dump(mode="json")}
    ids = clips.column("clip_id")
    (out / "events.parquet").write_parquet(
        pa.table(
            {
                "label": pa.array([event.label for event in events], pa.string()),
                "prob": pa.array([event.prob for event in events], pa.float32()),
                **{
                    name: pa.array([getattr(event, name) for event in events], pa.float64())
                    for name in ("start_s", "end_s", "at_s")
                },
                "clip_id": pa.array([None if i is None else ids[rows[i]] for i in places], pa.string()),
                "done": pa.array([None if i is None else done[i].label for i in places], pa.string()),
            }
        )
    )
    (out / "replay.json").write_text(json.dumps(answer | measured, indent=1))  # last: it is complete
    return answer | {name: value for name, value in measured.items() if name != "per_label"} | {"out": out.uri}


def _words(clips: Clips, row: int) -> list[str]:
    return list(clips.table["glosses"][row].as_py() or ())


def _chosen(
    clips: Clips, labels: Sequence[str], subjects: Sequence[str], *, sentences: bool
) -> tuple[list[int], dict[str, int]]:
    """Rows by subject, of each in a random order; how many are left out and why."""
    people, names = clips.column("subject"), clips.column("label")
    if strangers := sorted(set(subjects) - {str(name) for name in people}):
        known = ", ".join(sorted({str(name) for name in people})[:20])
        raise UserError(f"no clip of subject {strangers[0]!r}; there are {known}")
    mine = [row for row in range(len(clips)) if not subjects or people[row] in subjects]
    said = {row: _words(clips, row) if sentences else [names[row]] * (names[row] is not None) for row in mine}
    rows = [row for row in mine if said[row] and set(labels).issuperset(said[row])]
    empty = sum(not said[row] for row in mine)
    shuffled = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]
    left_out = {"without_label": empty, "unknown_labels": len(mine) - empty - len(rows)}
    return sorted(shuffled, key=lambda row: str(people[row])), left_out


def _played(
    clips: Clips,
    rows: Sequence[int],
    spotter: Spotter,
    rests_s: tuple[float, float],
    done: list[Done],
    progress: Progress,
) -> Iterator[Due]:
    """What becomes due; what was done until then is added to `done`. `rests_s`: before each clip, and in the end."""
    labels = clips.column("label")
    now_s = 0.0
    for row in rows:
        (clip,) = clip_inputs(clips, [row])
        own_s_T = clip.time_s.astype(np.float64) - float(clip.time_s[0])
        step_s = float(own_s_T[-1]) / (len(own_s_T) - 1) if len(own_s_T) > 1 else 1 / 30
        yield from _rest(spotter, clip, now_s, rests_s[0], step_s)
        now_s += rests_s[0]
        length_s = float(own_s_T[-1]) + step_s
        done.append(Done(labels[row] or "", now_s, now_s + length_s))
        yield from spotter.push(now_s + own_s_T, clip.parts, clip.aspect)
        now_s += length_s
        progress.advance(1)
    yield from _rest(spotter, clip, now_s, rests_s[1], step_s)
    yield from spotter.end()


def _rest(spotter: Spotter, like: ClipInput, start_s: float, gap_s: float, step_s: float) -> Iterator[Due]:
    """Frames in which nothing is detected."""
    time_s_T = start_s + step_s * np.arange(round(gap_s / step_s))
    parts = {
        part: np.full((len(time_s_T), *points.shape[1:]), np.nan, np.float32) for part, points in like.parts.items()
    }
    yield from spotter.push(time_s_T, parts, like.aspect)


def _recognised(dues: Iterator[Due], predictor: Predictor) -> Iterator[tuple[Due, np.ndarray | None]]:
    """Each with its probabilities; many windows in one run."""
    while some := list(islice(dues, _BATCH)):
        clips = [due.clip for due in some if not isinstance(due, Break) and due.clip is not None]
        probs = iter(predictor.predict(clips) if clips else ())
        for due in some:
            yield due, None if isinstance(due, Break) or due.clip is None else next(probs)


def _transcribed(
    done: Sequence[Done], events: Sequence[Event], places: Sequence[int | None], words: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Of sentences: WER of what was told in each, delay from a gloss's end, glosses told where nobody signed."""
    given: list[list[str]] = [[] for _ in done]
    for event, place in zip(events, places, strict=True):
        if place is not None:
            given[place].append(event.label)
    index = {word: k for k, word in enumerate(sorted({word for each in (*words, *given) for word in each}))}
    edits = [
        edit_distance([index[word] for word in theirs], [index[word] for word in mine])
        for theirs, mine in zip(words, given, strict=True)
    ]
    delays_s = [event.at_s - event.end_s for event in events]
    return {
        "signed_glosses": sum(map(len, words)),
        "told_glosses": len(events),
        "wer": sum(edits) / max(sum(map(len, words)), 1),
        "right_sentences": float(np.mean([edit == 0 for edit in edits])),
        "delay_s": {
            "from_end": {"median": float(np.median(delays_s)), "p95": float(np.quantile(delays_s, 0.95))}
            if delays_s
            else None
        },
        "false_alarms": places.count(None),
    }
