"""Parts of the body as MediaPipe numbers them: names, sizes, edges.

Sources: the model cards and `HandLandmark`, `PoseLandmark` of MediaPipe's Tasks API
(https://ai.google.dev/edge/mediapipe/solutions/vision/hand_landmarker, .../pose_landmarker, .../face_landmarker).
"""

from dataclasses import dataclass

HAND_NAMES = (
    "wrist",
    *(f"thumb_{joint}" for joint in ("cmc", "mcp", "ip", "tip")),
    *(f"{finger}_{joint}" for finger in ("index", "middle", "ring", "pinky") for joint in ("mcp", "pip", "dip", "tip")),
)  # fmt: skip
POSE_NAMES = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip

Edges = tuple[tuple[int, int], ...]

HAND_EDGES: Edges = (
    (0, 1), (1, 2), (2, 3), (3, 4),
    (0, 5), (5, 6), (6, 7), (7, 8),
    (5, 9), (9, 10), (10, 11), (11, 12),
    (9, 13), (13, 14), (14, 15), (15, 16),
    (13, 17), (0, 17), (17, 18), (18, 19), (19, 20),
)  # fmt: skip
POSE_EDGES: Edges = (
    (0, 1), (1, 2), (2, 3), (3, 7), (0, 4), (4, 5), (5, 6), (6, 8), (9, 10),
    (11, 12), (11, 13), (13, 15), (15, 17), (15, 19), (15, 21), (17, 19),
    (12, 14), (14, 16), (16, 18), (16, 20), (16, 22), (18, 20),
    (11, 23), (12, 24), (23, 24), (23, 25), (24, 26), (25, 27), (26, 28),
    (27, 29), (28, 30), (29, 31), (30, 32), (27, 31), (28, 32),
)  # fmt: skip
# The outer and inner contour of the lips and the oval of the face, enough to recognise a drawn face.
_FACE_LOOPS = (
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
    (
        10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
    ),
)  # fmt: skip
FACE_EDGES: Edges = tuple((loop[i], loop[(i + 1) % len(loop)]) for loop in _FACE_LOOPS for i in range(len(loop)))


@dataclass(frozen=True)
class Part:
    """A group of landmarks that is detected together. `edges` index its points."""

    name: str
    num_points: int
    edges: Edges


PARTS = {
    part.name: part
    for part in (
        Part("left_hand", 21, HAND_EDGES),
        Part("right_hand", 21, HAND_EDGES),
        Part("pose", 33, POSE_EDGES),
        Part("face", 478, FACE_EDGES),
    )
}
NUM_BLENDSHAPES = 52
# What `--parts` takes: each name is one MediaPipe model, and the parts that it gives.
MODELS = {"hands": ("left_hand", "right_hand"), "pose": ("pose",), "face": ("face",)}

WRIST, THUMB_CMC, INDEX_MCP, MIDDLE_MCP, PINKY_MCP = 0, 1, 5, 9, 17
