"""If these fail, landmarks carry the wrong names or lines: features measure, and pictures draw, other points."""

from mediapipe.tasks.python import vision

from sigflow.schema import landmark_schema
from sigflow.topology import (
    FACE_EDGES,
    HAND_EDGES,
    HAND_NAMES,
    INDEX_MCP,
    MIDDLE_MCP,
    MODELS,
    PARTS,
    PINKY_MCP,
    POSE_EDGES,
    POSE_NAMES,
    THUMB_CMC,
    WRIST,
)


def pairs(edges: object) -> set[frozenset[int]]:
    """MediaPipe's connections, or ours, without direction."""
    return {
        frozenset((edge.start, edge.end) if hasattr(edge, "start") else edge)
        for edge in edges  # type: ignore[attr-defined]
    }


def test_pose_points_have_mediapipes_names() -> None:
    assert tuple(point.name.lower() for point in vision.PoseLandmark) == POSE_NAMES


def test_hand_points_that_features_name_are_those_of_mediapipe() -> None:
    assert len(HAND_NAMES) == PARTS["left_hand"].num_points == PARTS["right_hand"].num_points == 21
    named = [HAND_NAMES[point] for point in (WRIST, THUMB_CMC, INDEX_MCP, MIDDLE_MCP, PINKY_MCP)]
    assert named == ["wrist", "thumb_cmc", "index_mcp", "middle_mcp", "pinky_mcp"]


def test_hands_and_poses_are_drawn_with_mediapipes_lines() -> None:
    assert pairs(HAND_EDGES) == pairs(vision.HandLandmarksConnections.HAND_CONNECTIONS)
    assert pairs(POSE_EDGES) == pairs(vision.PoseLandmarksConnections.POSE_LANDMARKS)


def test_a_drawn_face_has_mediapipes_lips_and_oval() -> None:
    known = vision.FaceLandmarksConnections
    assert pairs(FACE_EDGES) == pairs(known.FACE_LANDMARKS_LIPS) | pairs(known.FACE_LANDMARKS_FACE_OVAL)


def test_every_edge_joins_two_points_of_its_part() -> None:
    for part in PARTS.values():
        assert all(0 <= a < part.num_points and 0 <= b < part.num_points and a != b for a, b in part.edges), part.name


def test_every_part_can_be_asked_for_and_stored() -> None:
    asked = [part for parts in MODELS.values() for part in parts]
    assert asked == list(PARTS)
    assert set(asked) <= set(landmark_schema(asked).names)
