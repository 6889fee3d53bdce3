"""Rendered hands with known landmarks: the demo's and the tests' videos."""

from sigflow.landmarks.synthetic.pose import GESTURES, HandPose, HandShape, blend, gesture_pose
from sigflow.landmarks.synthetic.render import Camera, Look
from sigflow.landmarks.synthetic.samples import (
    SUBJECTS,
    RenderedClip,
    Subject,
    render_clip,
    render_scene,
    write_sample_set,
    write_video,
)

__all__ = [
    "GESTURES",
    "SUBJECTS",
    "Camera",
    "HandPose",
    "HandShape",
    "Look",
    "RenderedClip",
    "Subject",
    "blend",
    "gesture_pose",
    "render_clip",
    "render_scene",
    "write_sample_set",
    "write_video",
]
