"""A sample of the recipe's own features, which the heavier checks share; columns that explode or vanish.

Shape suffixes: N clips of the sample, S their frames, F features, P places along each clip, D = P * F.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sigflow.audit.plan import Finding, Plan, listed
from sigflow.features.frontend import compute_features
from sigflow.features.scaling import Scaler

# What a check may look at: each keeps the audit of five thousand clips under half a minute on one core.
MOST_CLIPS = 6_000
MOST_FRAMES = 200_000
MOST_NUMBERS = 20_000_000
PLACES = 8  # along a clip: start, end, and what lies between
WILD = 10  # times: the standard deviation of a column is that much above what 98 % of its values show
VANISHING = 1e-4  # the scaler's own bound: below it a column is taken for constant, and not scaled
_BLOCK = 128


@dataclass(frozen=True)
class Sample:
    """Features of some clips, all frames one after the other. `total`: clips that there are."""

    rows: np.ndarray
    offsets: Int[Tensor, " _ends"]
    values: Float[Tensor, "S F"]
    total: int

    @property
    def note(self) -> str:
        """What evidence says where not all clips were looked at."""
        return "" if len(self.rows) == self.total else f" (looked at {len(self.rows)} of {self.total} clips)"

    @cached_property
    def scaler(self) -> Scaler:
        """Fitted on the sample."""
        scaler = Scaler(self.values.shape[1])
        scaler.fit(self.values[None])
        return scaler

    @cached_property
    def places(self) -> Float[Tensor, "N P F"]:
        """Scaled values at equally spaced frames; missing is 0."""
        return self.scaler(self._at(np.arange(len(self.rows)), PLACES))

    @cached_property
    def seen(self) -> Bool[Tensor, " N"]:
        """Whether at least a quarter of the numbers is there: of the others little can be said."""
        return (~self._at(np.arange(len(self.rows)), PLACES).isnan()).double().mean((1, 2)) >= 0.25

    def many_places(self, some: np.ndarray) -> Float[Tensor, "_some _places F"]:
        """Those of some clips, by their place in the sample, more closely."""
        return self.scaler(self._at(some, 4 * PLACES))

    def _at(self, some: np.ndarray, count: int) -> Float[Tensor, "_some {count} F"]:
        share_P = torch.linspace(0, 1, count, dtype=torch.float64)
        last_N = (self.offsets.diff() - 1)[some].double()
        return self.values[self.offsets[:-1][some, None] + (last_N[:, None] * share_P).round().long()]


def draw_sample(plan: Plan) -> Sample:
    """As many clips as the bounds allow, the same at every call."""
    clips, frontend = plan.clips, plan.recipe.frontend
    num_frames = frontend.resampling.num_frames
    order = np.random.default_rng(0).permutation(len(clips))[:MOST_CLIPS]
    before_N = clips.offsets.diff().numpy()[order].cumsum()
    after_N = before_N if num_frames is None else num_frames * np.arange(1, len(order) + 1)
    fitting = (before_N <= MOST_FRAMES) & (after_N * frontend.size <= MOST_NUMBERS)
    rows = np.sort(order[: max(1, int(fitting.sum()))])
    values, lengths = [], []
    with torch.no_grad():
        for start in range(0, len(rows), _BLOCK):
            sequences = compute_features(clips.batch(rows[start : start + _BLOCK].tolist()), frontend)
            inside_BT = torch.arange(sequences.values.shape[1]) < sequences.lengths[:, None]
            values.append(sequences.values[inside_BT])
            lengths.append(sequences.lengths)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), torch.cat(lengths).cumsum(0)])
    return Sample(rows, offsets, torch.cat(values), len(clips))


def unscaled(plan: Plan, sample: Sample) -> list[Finding]:
    """Columns whose few wild values leave nothing of the others, and columns too small to be scaled."""
    some_SF = sample.values[:: max(1, len(sample.values) // 20_000)].double()
    seen_F = ~some_SF.isnan().all(0).numpy()
    std_F = sample.scaler.std.double().numpy()  # 1 where a column hardly varies
    low_F, high_F = np.zeros(len(std_F)), np.zeros(len(std_F))
    if seen_F.any():
        low_F[seen_F], high_F[seen_F] = np.nanquantile(some_SF[:, seen_F], [0.01, 0.99], axis=0)
    usual_F = (high_F - low_F) / 4.65  # so many standard deviations hold 98 % of a normal distribution
    # Where nearly all values are equal there is no usual spread: a flag that is seldom on is no explosion.
    wild_F = (usual_F > VANISHING) & (std_F > WILD * usual_F)
    found = []
    if wild_F.any():
        most = float(sample.values[:, wild_F].nan_to_num(0).abs().max())
        found.append(
            Finding(
                code="exploding_features", severity="warning",
                evidence=f"a few values of {wild_F.sum()} of {len(wild_F)} columns ({_names(plan, wild_F)}) reach "
                f"{most:.3g}, where 98 % lie within {np.abs([low_F, high_F])[:, wild_F].max():.3g}: scaled, nothing is "
                f"left of the others{sample.note}",
                mend="find the clips with such values, and mend or leave them out",
            )
        )  # fmt: skip
    change_F = np.where(seen_F, high_F - low_F, 0.0)
    tiny_F = (std_F == 1) & (change_F > 1e-3 * np.maximum(np.abs(low_F), np.abs(high_F))) & (change_F < VANISHING * 10)
    tiny_F &= _is_raw(plan, len(std_F))  # other features are in palms or shoulder widths by their making
    if tiny_F.any():
        found.append(
            Finding(
                code="unscaled_features", severity="warning",
                evidence=f"{tiny_F.sum()} of {len(tiny_F)} columns vary by less than {VANISHING:g}, and are taken for "
                f"constant{sample.note}",
                mend="give these channels in a larger unit, so that they vary by about 1",
            )
        )  # fmt: skip
    return found


def _names(plan: Plan, chosen_F: np.ndarray) -> str:
    slices = plan.recipe.frontend.slices
    return listed([name for name, columns in slices.items() if chosen_F[columns].any()])


def _is_raw(plan: Plan, size: int) -> np.ndarray:
    raw_F = np.zeros(size, bool)
    for name, columns in plan.recipe.frontend.slices.items():
        raw_F[columns] = name.startswith("raw.")
    return raw_F
