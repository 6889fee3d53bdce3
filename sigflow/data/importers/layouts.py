"""Where the landmarks of MediaPipe Holistic lie in one frame's numbers, in the orders that people store them.

Shape suffixes: T frames, F numbers per frame, P points.

Sources: the order pose, face, left hand, right hand of `MP_Data` vectors is that of `extract_keypoints` in
https://github.com/nicknochnack/ActionDetectionforSignLanguage; 543 points are ordered as in the Kaggle competition
https://www.kaggle.com/competitions/asl-signs. The hands are Holistic's: it finds them at the wrists of the pose, so
that they are the subject's own left and right in unmirrored video.
"""

import numpy as np

from sigflow.topology import PARTS

HOLISTIC_FACE_POINTS = 468  # without the ten points of the irises, which `PARTS` counts
VECTOR_PARTS = {1662: ("pose", "face", "left_hand", "right_hand"), 258: ("pose", "left_hand", "right_hand")}
_SIZES = {"pose": 33, "face": HOLISTIC_FACE_POINTS, "left_hand": 21, "right_hand": 21}
# Arrays (N, T, P, 3) say nothing but P. One hand is taken for the right one; two are left, right, as in the vectors.
POINT_PARTS = {
    21: ("right_hand",),
    33: ("pose",),
    42: ("left_hand", "right_hand"),
    75: ("pose", "left_hand", "right_hand"),
    468: ("face",),
    478: ("face",),
    543: ("face", "left_hand", "pose", "right_hand"),
}


def split_vectors(vectors_TF: np.ndarray) -> dict[str, np.ndarray]:
    """Columns from (T, 1662) or (T, 258): pose 33 x (x, y, z, visibility), then face and hands in x, y, z.

    A part whose numbers are all zero in a frame was not detected there: a row of NaN, in `pose_visibility` too.
    """
    columns, start = {}, 0
    for part in VECTOR_PARTS[vectors_TF.shape[1]]:
        numbers = 4 if part == "pose" else 3
        values = without_zeros(vectors_TF[:, start : start + numbers * _SIZES[part]])
        start += values.shape[1]
        points_TPC = values.reshape(len(values), -1, numbers)
        columns[part] = as_part(part, points_TPC[:, :, :3])
        if part == "pose":
            columns["pose_visibility"] = np.ascontiguousarray(points_TPC[:, :, 3])
    return columns


def split_points(points_TP3: np.ndarray) -> dict[str, np.ndarray]:
    """Columns from (T, P, 3), P of `POINT_PARTS`; a part that is all zero in a frame was not detected there."""
    columns, start = {}, 0
    parts = POINT_PARTS[points_TP3.shape[1]]
    for part in parts:
        size = points_TP3.shape[1] if len(parts) == 1 else _SIZES[part]
        values = without_zeros(points_TP3[:, start : start + size].reshape(len(points_TP3), -1))
        columns[part] = as_part(part, values.reshape(len(values), -1, 3))
        start += size
    return columns


def as_part(part: str, points_TP3: np.ndarray) -> np.ndarray:
    """The column (T, 3 * points) of a part, float32; points beyond those given (the irises) are NaN."""
    padded = np.full((len(points_TP3), PARTS[part].num_points, 3), np.nan, np.float32)
    padded[:, : points_TP3.shape[1]] = points_TP3
    return padded.reshape(len(padded), 3 * PARTS[part].num_points)


def without_zeros(values_TF: np.ndarray) -> np.ndarray:
    """float32, NaN in frames whose numbers are all zero, which is how these layouts write "not detected"."""
    values = values_TF.astype(np.float32)
    values[(values == 0).all(axis=1)] = np.nan
    return values
