"""Which point takes whose place in a mirror."""

from collections.abc import Sequence

from sigflow.topology import BLENDSHAPE_NAMES, PARTS, POSE_NAMES


def swap_names(names: Sequence[str]) -> tuple[int, ...]:
    """For each name the index of the one with left and right exchanged, or its own."""
    other = {"left": "right", "right": "left"}
    return tuple(names.index("_".join(other.get(word, word) for word in name.split("_"))) for name in names)


def _swap_face() -> tuple[int, ...]:
    """For each point of the face mesh its partner on the other side.

    MediaPipe's canonical face is symmetric to the last digit: negating x of its 468 vertices gives the same vertices
    (computed from the mesh inside the official face_landmarker.task; pose-format's FLIPPED_FACE_POINTS agrees). Its
    points of the right side come first, with those of the midline among them, then the left side in the same order.
    The irises follow, 5 points each: the centre, then four around it, of which the first and the third lie sideways
    and change places.
    """
    right = [point for point in range(_LEFT_SIDE) if point not in _MIDLINE]
    pairs = [*zip(right, range(_LEFT_SIDE, _IRISES), strict=True), *_IRIS_PAIRS]
    swap = list(range(PARTS["face"].num_points))
    for a, b in pairs:
        swap[a], swap[b] = b, a
    return tuple(swap)


_LEFT_SIDE, _IRISES = 248, 468
_MIDLINE = (
    0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 94, 151, 152, 164, 168, 175, 195, 197, 199, 200,
)  # fmt: skip
_IRIS_PAIRS = ((468, 473), (469, 476), (470, 475), (471, 474), (472, 477))

BLENDSHAPE_SWAP = swap_names(BLENDSHAPE_NAMES)
POSE_SWAP = swap_names(POSE_NAMES)
FACE_SWAP = _swap_face()
