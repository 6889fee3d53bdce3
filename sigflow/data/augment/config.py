"""How strong each change is."""

from pydantic import Field

from sigflow.config import Config


class Augmentation(Config):
    """Everything is off at 0. "Up to x" is drawn evenly from -x to x, for each clip by itself.

    Units: `_deg` degrees; `_heights` heights of the video; `_palms` from wrist to middle knuckle; `_sizes` a hand's
    palm, the pose's shoulder width, the face's width, a raw channel's standard deviation, each its mean over the clip;
    `_share` share of the clip's frames.
    Factors up to x are drawn evenly in their logarithm, from 1 / (1 + x) to 1 + x.
    """

    # Space: landmarks only.
    roll_deg: float = Field(default=0.0, ge=0, le=180)  # up to, in the picture's plane
    yaw_deg: float = Field(default=0.0, ge=0, le=60)  # up to, about the vertical axis
    pitch_deg: float = Field(default=0.0, ge=0, le=60)  # up to, about the horizontal axis
    shift_heights: float = Field(default=0.0, ge=0, le=1)  # up to, to the side and up
    scale: float = Field(default=0.0, ge=0, le=1)  # factor of all lengths
    stretch: float = Field(default=0.0, ge=0, le=1)  # factor of width by height; the area stays
    shear: float = Field(default=0.0, ge=0, le=1)  # up to, sideways for each unit of height
    hand_shift_palms: float = Field(default=0.0, ge=0, le=2)  # up to, each hand apart from everything else
    # Up to, about each of three axes through its wrist, each hand apart from everything else: people hold the same hand
    # differently, and no turn of the whole scene shows that to features in the body's frame.
    hand_turn_deg: float = Field(default=0.0, ge=0, le=90)
    mirror: float = Field(default=0.0, ge=0, le=1)  # probability; not where left and right tell labels apart

    # Time: everything.
    crop_share: float = Field(default=0.0, ge=0, le=0.4)  # from 0 up to this share is cut off at either end
    drop_frames: float = Field(default=0.0, ge=0, le=0.9)  # probability of each frame
    warp: float = Field(default=0.0, ge=0, le=0.9)  # the tempo rises and falls by this share at the most
    speed: float = Field(default=0.0, ge=0, le=3)  # factor of all times
    time_jitter_steps: float = Field(default=0.0, ge=0, lt=0.5)  # up to, in steps to the nearer neighbour

    # Noise: landmarks and raw channels.
    noise_sizes: float = Field(default=0.0, ge=0, le=1)  # standard deviation for each number
    jitter_sizes: float = Field(default=0.0, ge=0, le=1)  # standard deviation for a part as a whole, in each frame
    raw_scale: float = Field(default=0.0, ge=0, le=1)  # factor of each raw channel

    # Missing.
    mask_share: float = Field(default=0.0, ge=0, le=0.9)  # one stretch of half this length to all of it, in all parts
    drop_parts: float = Field(default=0.0, ge=0, le=1)  # probability of each part; one that was seen always stays
    drop_fingers: float = Field(default=0.0, ge=0, le=1)  # probability that a hand loses one finger for a stretch
    drop_landmarks: float = Field(default=0.0, ge=0, le=1)  # probability, in each frame, that a part loses one landmark
    drop_channels: float = Field(default=0.0, ge=0, le=1)  # probability that a raw channel is lost for a stretch
