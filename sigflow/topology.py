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
# What a model may read of each frame, by name, and its shape; `raw` channels of another origin have any number.
INPUT_SHAPES: dict[str, tuple[int, ...]] = {
    **{name: (part.num_points, 3) for name, part in PARTS.items()},
    "pose_visibility": (33,),
    "blendshapes": (NUM_BLENDSHAPES,),
}
RAW = "raw"
# Of each frame: whether a sign is being made, and whether it begins; known of some sentences, never read by a model.
SIGNING = "signing"
INPUTS = (*INPUT_SHAPES, RAW)
# What `--parts` takes: each name is one MediaPipe model, and the parts that it gives.
MODELS = {"hands": ("left_hand", "right_hand"), "pose": ("pose",), "face": ("face",)}

WRIST, THUMB_CMC, INDEX_MCP, MIDDLE_MCP, PINKY_MCP = 0, 1, 5, 9, 17

# The 52 scores of MediaPipe's face landmarker, in its order (`Blendshapes` of its Tasks API). Left and right are the
# subject's own. Like ARKit's, except that the first is `neutral` and the last of ARKit's, the tongue, is lacking.
BLENDSHAPE_NAMES = (
    "neutral", "brow_down_left", "brow_down_right", "brow_inner_up", "brow_outer_up_left", "brow_outer_up_right",
    "cheek_puff", "cheek_squint_left", "cheek_squint_right", "eye_blink_left", "eye_blink_right",
    "eye_look_down_left", "eye_look_down_right", "eye_look_in_left", "eye_look_in_right", "eye_look_out_left",
    "eye_look_out_right", "eye_look_up_left", "eye_look_up_right", "eye_squint_left", "eye_squint_right",
    "eye_wide_left", "eye_wide_right", "jaw_forward", "jaw_left", "jaw_open", "jaw_right", "mouth_close",
    "mouth_dimple_left", "mouth_dimple_right", "mouth_frown_left", "mouth_frown_right", "mouth_funnel", "mouth_left",
    "mouth_lower_down_left", "mouth_lower_down_right", "mouth_press_left", "mouth_press_right", "mouth_pucker",
    "mouth_right", "mouth_roll_lower", "mouth_roll_upper", "mouth_shrug_lower", "mouth_shrug_upper",
    "mouth_smile_left", "mouth_smile_right", "mouth_stretch_left", "mouth_stretch_right", "mouth_upper_up_left",
    "mouth_upper_up_right", "nose_sneer_left", "nose_sneer_right",
)  # fmt: skip

# Points of the face mesh by number. Source: MediaPipe's `FaceLandmarksConnections` and canonical face model
# (mediapipe/modules/face_geometry/data). Left and right are the subject's own.
RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263
NOSE_BASE, CHIN = 2, 152
MOUTH_RIGHT, MOUTH_LEFT = 61, 291
# Both loops start at the right corner and run below to the left corner and back above: equal places lie side by side.
LIPS_OUTER, LIPS_INNER = _FACE_LOOPS[:2]
# The face's oval below the mouth's corners, from the left angle of the jaw over the chin to the right one.
JAW = (288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58)
LIP_POINTS = (*LIPS_OUTER, *LIPS_INNER, *JAW)
# Index LIP_POINTS: MediaPipe's lines along lips and jaw, then ours from outer to inner lip and from lip to jaw, so that
# the graph is in one piece.
LIP_EDGES: Edges = tuple(
    (LIP_POINTS.index(a), LIP_POINTS.index(b))
    for a, b in (
        *((loop[i], loop[(i + 1) % len(loop)]) for loop in (LIPS_OUTER, LIPS_INNER) for i in range(len(loop))),
        *((JAW[i], JAW[i + 1]) for i in range(len(JAW) - 1)),
        *zip(LIPS_OUTER, LIPS_INNER, strict=True),
        (17, CHIN), (MOUTH_RIGHT, 172), (MOUTH_LEFT, 397),
    )
)  # fmt: skip
