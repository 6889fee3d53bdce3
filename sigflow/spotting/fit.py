"""Settings of a bundle's streams, from what it was trained on."""

from collections.abc import Sequence

import numpy as np

from sigflow.bundle import Manifest, Streaming

# Labels of clips in which nothing was done, in lower case.
NOTHING = frozenset({"-", "adl", "background", "idle", "no_fall", "none", "nothing", "other", "rest", "silence"})
_SHORTEST_S, _LONGEST_S = 0.3, 10.0
_LEAST, _SURE = 0.3, 0.6  # bounds of `on`, which is never below chance either


def stream_of(manifest: Manifest) -> Streaming:
    """The bundle's own settings; of an older one what fits its labels and parts."""
    if manifest.stream:
        return manifest.stream
    return fitted(manifest.labels, manifest.parts, sentences=manifest.task == "sentences")


def fitted(
    labels: Sequence[str],
    parts: Sequence[str],
    durations_s: Sequence[float] = (),
    confidences: Sequence[float] = (),
    *,
    sentences: bool,
) -> Streaming:
    """Windows as long as the clips that were learnt, thresholds as sure as the model is; see `docs/bundle.md`.

    Args:
        parts: that the model reads.
        durations_s: of the clips; none: a second is taken, of sentences four.
        confidences: probabilities of right answers to unseen clips; not of sentences.
    """
    known = np.array([duration for duration in durations_s if duration and np.isfinite(duration)])
    usual_s = float(np.median(known)) if len(known) else 4.0 if sentences else 1.0
    window_s = round(float(np.clip(usual_s, 1.0 if sentences else _SHORTEST_S, _LONGEST_S)), 3)
    hop_s = round(window_s / (10 if sentences else 5), 3)
    least = max(_LEAST, 1 / len(labels))
    on = float(np.clip(0.7 * np.quantile(confidences, 0.1), least, _SURE)) if len(confidences) else _SURE
    hands = tuple(part for part in parts if part.endswith("_hand"))
    return Streaming(
        window_s=window_s,
        hop_s=hop_s,
        watched=hands or tuple(parts),
        ignored=tuple(label for label in labels if label.lower() in NOTHING),
        seen_s=round(window_s * (0.05 if sentences else 0.5), 3),
        smoothing_s=round(hop_s / 2, 3),
        on=round(on, 2),
        off=round(on * 2 / 3, 2),
        lasting_s=2 * hop_s,
        cool_down_s=round(window_s / 2, 3),
        stable_s=round(window_s / 4, 3),
    )
