"""If these fail, a mirrored clip has its left eye where the right one should be."""

from sigflow.data.augment.swaps import BLENDSHAPE_SWAP, FACE_SWAP, POSE_SWAP, swap_names
from sigflow.topology import (
    BLENDSHAPE_NAMES,
    LEFT_EYE_OUTER,
    LIPS_OUTER,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    POSE_NAMES,
    RIGHT_EYE_OUTER,
)


def test_each_swap_undoes_itself() -> None:
    for swap, size in ((POSE_SWAP, 33), (BLENDSHAPE_SWAP, 52), (FACE_SWAP, 478)):
        assert sorted(swap) == list(range(size))
        assert [swap[i] for i in swap] == list(range(size))


def test_names_are_swapped_by_their_words() -> None:
    assert swap_names(("brow_left", "brow_up", "brow_right")) == (2, 1, 0)
    assert POSE_SWAP[POSE_NAMES.index("mouth_left")] == POSE_NAMES.index("mouth_right")
    assert POSE_SWAP[POSE_NAMES.index("nose")] == POSE_NAMES.index("nose")
    assert sum(a != b for a, b in enumerate(POSE_SWAP)) == 32
    assert BLENDSHAPE_SWAP[BLENDSHAPE_NAMES.index("jaw_left")] == BLENDSHAPE_NAMES.index("jaw_right")
    assert sum(a != b for a, b in enumerate(BLENDSHAPE_SWAP)) == 2 * sum("left" in name for name in BLENDSHAPE_NAMES)


def test_the_face_is_swapped_along_its_known_lines() -> None:
    assert FACE_SWAP[RIGHT_EYE_OUTER] == LEFT_EYE_OUTER
    assert FACE_SWAP[MOUTH_RIGHT] == MOUTH_LEFT
    # The lips' loop runs from the right corner to the left one: mirrored, it is the same loop backwards.
    below = LIPS_OUTER[:11]
    assert [FACE_SWAP[point] for point in below] == list(reversed(below))
    right_oval = (10, 109, 67, 103, 54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152)
    left_oval = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152)
    assert [FACE_SWAP[point] for point in right_oval] == list(left_oval)
    right_brow, left_brow = (
        (46, 53, 52, 65, 55, 70, 63, 105, 66, 107),
        (276, 283, 282, 295, 285, 300, 293, 334, 296, 336),
    )
    assert [FACE_SWAP[point] for point in right_brow] == list(left_brow)
    assert sum(a == b for a, b in enumerate(FACE_SWAP)) == 28  # the midline


def test_the_irises_change_places() -> None:
    assert [FACE_SWAP[point] for point in range(468, 473)] == [473, 476, 475, 474, 477]
