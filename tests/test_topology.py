"""If these fail, landmarks carry the wrong names or lines: features measure, and pictures draw, other points."""

from itertools import pairwise

from mediapipe.tasks.python import vision
from mediapipe.tasks.python.vision.face_landmarker import Blendshapes

from sigflow.schema import landmark_schema
from sigflow.topology import (
    BLENDSHAPE_NAMES,
    CHIN,
    FACE_EDGES,
    HAND_EDGES,
    HAND_NAMES,
    INDEX_MCP,
    JAW,
    LEFT_EYE_OUTER,
    LIP_EDGES,
    LIP_POINTS,
    LIPS_INNER,
    LIPS_OUTER,
    MIDDLE_MCP,
    MODELS,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    NUM_BLENDSHAPES,
    PARTS,
    PINKY_MCP,
    POSE_EDGES,
    POSE_NAMES,
    RIGHT_EYE_OUTER,
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


def test_scores_of_the_face_have_mediapipes_names() -> None:
    assert tuple(shape.name.lower() for shape in Blendshapes) == BLENDSHAPE_NAMES
    assert len(BLENDSHAPE_NAMES) == NUM_BLENDSHAPES


def test_the_nodes_of_the_mouth_are_mediapipes_lips_and_the_lower_oval_of_the_face() -> None:
    known = vision.FaceLandmarksConnections
    lips = {point for pair in pairs(known.FACE_LANDMARKS_LIPS) for point in pair}
    assert set(LIPS_OUTER) | set(LIPS_INNER) == lips
    assert pairs(pairwise(JAW)) < pairs(known.FACE_LANDMARKS_FACE_OVAL)
    assert JAW[len(JAW) // 2] == CHIN
    assert len(set(LIP_POINTS)) == len(LIP_POINTS) == 55
    assert max(LIP_POINTS) < 468, "irises are lacking in imported faces"


def test_the_eyes_and_the_mouths_corners_are_the_subjects_own() -> None:
    known = vision.FaceLandmarksConnections
    neighbours = {
        side: {point for pair in pairs(edges) for point in pair}
        for side, edges in (("left", known.FACE_LANDMARKS_LEFT_EYE), ("right", known.FACE_LANDMARKS_RIGHT_EYE))
    }
    assert LEFT_EYE_OUTER in neighbours["left"]
    assert RIGHT_EYE_OUTER in neighbours["right"]
    steps = mesh_steps(LEFT_EYE_OUTER), mesh_steps(RIGHT_EYE_OUTER)
    assert steps[0][MOUTH_LEFT] < steps[1][MOUTH_LEFT]
    assert steps[1][MOUTH_RIGHT] < steps[0][MOUTH_RIGHT]
    assert all(steps[0][point] < steps[1][point] for point in JAW[:7])  # the chin is the eighth
    assert all(steps[1][point] < steps[0][point] for point in JAW[8:])


def test_the_graph_of_the_mouth_is_in_one_piece_and_joins_what_lies_side_by_side() -> None:
    known = vision.FaceLandmarksConnections
    drawn = pairs((LIP_POINTS[a], LIP_POINTS[b]) for a, b in LIP_EDGES)
    assert len(drawn) == len(LIP_EDGES)
    ours = drawn - pairs(known.FACE_LANDMARKS_LIPS) - pairs(known.FACE_LANDMARKS_FACE_OVAL)
    across = pairs(zip(LIPS_OUTER, LIPS_INNER, strict=True))
    assert ours == across | pairs([(17, CHIN), (MOUTH_RIGHT, 172), (MOUTH_LEFT, 397)])
    for outer, inner in zip(LIPS_OUTER, LIPS_INNER, strict=True):
        steps = mesh_steps(outer)
        assert steps[inner] == min(steps[point] for point in LIPS_INNER), (outer, inner)
    joined = {0}
    for _ in LIP_POINTS:
        joined |= {end for edge in LIP_EDGES if joined & set(edge) for end in edge}
    assert joined == set(range(len(LIP_POINTS)))


def mesh_steps(start: int) -> dict[int, int]:
    """Edges of MediaPipe's mesh from `start` to every other point."""
    mesh = pairs(vision.FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION)
    steps, border = {start: 0}, {start}
    while border:
        border = {end for pair in mesh if pair & border for end in pair} - steps.keys()
        steps |= dict.fromkeys(border, max(steps.values()) + 1)
    return steps
