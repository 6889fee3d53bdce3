"""Endless streams of frames to events: when a window is due, and what its probabilities mean. No graph is run here.

windows.py    frames -> windows: a bounded buffer; gaps and jumps of the clock
events.py     probabilities of windows -> events of classes: smoothing, hysteresis, cool-down
glosses.py    probabilities of windows' frames -> glosses, each once it is certain (CTC)
spotter.py    all of it, for one stream
fit.py        settings from the clips that the bundle was trained on
"""

from sigflow.spotting.events import Event
from sigflow.spotting.fit import fitted, stream_of
from sigflow.spotting.spotter import Spotter
from sigflow.spotting.windows import Break, Due, Window

__all__ = ["Break", "Due", "Event", "Spotter", "Window", "fitted", "stream_of"]
