"""How good predictions are, from probabilities and the truth alone (numpy; `ranking` takes scikit-learn)."""

from sigflow.metrics.calibration import calibration_error, reliability, tempered
from sigflow.metrics.classes import classification, confusion, f1_per_class, macro_f1, worst_subject
from sigflow.metrics.intervals import class_intervals, f1_difference, wer_interval
from sigflow.metrics.selective import risk_coverage
from sigflow.metrics.sentences import (
    align,
    blank_ratio,
    edit_distance,
    transcribed,
    transcription,
    word_error_rate,
)

__all__ = [
    "align",
    "blank_ratio",
    "calibration_error",
    "class_intervals",
    "classification",
    "confusion",
    "edit_distance",
    "f1_difference",
    "f1_per_class",
    "macro_f1",
    "reliability",
    "risk_coverage",
    "tempered",
    "transcribed",
    "transcription",
    "wer_interval",
    "word_error_rate",
    "worst_subject",
]
