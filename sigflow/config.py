"""The base of everything that a recipe is made of."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Frozen, keyword-only, no unknown keys; equal configs have equal JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
