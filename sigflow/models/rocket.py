"""Random convolutions, pooled over time, and a ridge classifier in closed form: for few clips, trained in seconds.

Sources: MiniRocket (Dempster et al. 2021, arXiv:2012.08791), MultiRocket (Tan et al. 2022, arXiv:2102.00457).
Shape suffixes: B clips, N frames, F features, S series (the values, their difference), D dilations, C kernels of one
dilation, Q biases of one kernel, P pooled features, M clips looked at, K classes, R rank.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from sigflow.config import Config
from sigflow.models.pooling import valid_frames, zero_others

_LENGTH = 9
_TRIPLES = tuple(combinations(range(_LENGTH), 3))
NUM_KERNELS = len(_TRIPLES)  # 84
_MAX_DILATIONS = 32
_MOST_CHANNELS = 9
_LOOKED_AT = 2048  # frames of training clips that the biases of one dilation come from, about
_RAMP = 0.02  # share of a convolution's standard deviation
_NEVER = -1e9  # added to a convolution: far below every bias
_BLOCK = 2**21  # numbers at once
_GOLDEN = (5**0.5 + 1) / 2


class RocketConfig(Config):
    """Defaults by accuracy on recorded signs and on synthetic series."""

    kind: Literal["rocket"] = "rocket"
    frames: PositiveInt = 30  # of a usual clip: the widest kernel covers about as many
    num_features: int = Field(default=10_000, ge=4 * NUM_KERNELS)  # pooled ones, at most; a multiple of 84
    difference: bool = False  # half of the features from the change between frames
    positive_mean: bool = False  # half of the features: by how much the bias is exceeded
    balanced: bool = False  # each class counts alike, however many clips it has
    # Of the squared weights; the one with the least leave-one-out error is taken.
    penalties: tuple[PositiveFloat, ...] = Field(default=tuple(10.0**power for power in range(-2, 7)), min_length=1)
    seed: NonNegativeInt = 0


class RocketModel(nn.Module):
    """(B, N, F) and lengths to logits (B, K), by `fit` and not by gradient; before `fit` all logits are 0.

    Kernels of length 9 with six weights of -1 and three of 2, all 84 of them, at dilations that are spread
    exponentially; each over the sum of up to 9 random features; zeros before and after the clip. Pooled is the share
    of the clip's frames in which the convolution exceeds a bias. The step is a narrow ramp, because a hard one would
    turn a rounding error into another answer.
    """

    channels_SDCF: Tensor
    kernels_C9: Tensor
    scale_SDC: Tensor
    mean_P: Tensor
    std_P: Tensor

    def __init__(self, config: RocketConfig, size_in: int, num_classes: int) -> None:
        super().__init__()
        self.config = config
        series, statistics = 1 + config.difference, 1 + config.positive_mean
        self.dilations = spread_dilations(config.frames, config.num_features // (NUM_KERNELS * series * statistics))
        shape = (series, len(self.dilations), NUM_KERNELS)
        generator = torch.Generator().manual_seed(config.seed)
        self.register_buffer("kernels_C9", _kernels())
        self.register_buffer("channels_SDCF", _choose_channels(shape, size_in, generator))
        self.register_buffer("scale_SDC", torch.ones(shape))
        for number, count in enumerate(self.dilations.values()):
            self.register_buffer(f"bias{number}_SCQ", torch.zeros(series, NUM_KERNELS, count))
        size = series * statistics * NUM_KERNELS * sum(self.dilations.values())
        self.register_buffer("mean_P", torch.zeros(size))
        self.register_buffer("std_P", torch.ones(size))
        self.head = nn.Linear(size, num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, x_BNF: Float[Tensor, "B N F"], lengths_B: Int[Tensor, " B"], seen_BN: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B K"]:
        """Logits; their softmax is calibrated on the training clips. Missing frames count as the 0 that they hold."""
        pooled_BP = self._pooled(x_BNF, lengths_B) if torch.onnx.is_in_onnx_export() else self.pooled(x_BNF, lengths_B)
        logits: Tensor = self.head((pooled_BP - self.mean_P) / self.std_P)
        return logits

    @torch.no_grad()
    def fit(self, x_BNF: Float[Tensor, "B N F"], lengths_B: Int[Tensor, " B"], target_B: Int[Tensor, " B"]) -> None:
        """Biases, standardisation, ridge classifier and the logits' scale, all from the training clips alone."""
        self._fit_biases(x_BNF, lengths_B)
        pooled_BP = self.pooled(x_BNF, lengths_B)
        self.mean_P.copy_(pooled_BP.mean(0))
        # Nearly constant features would blow up in the first clip that is unlike the training clips.
        std_P = pooled_BP.std(0, correction=0)
        self.std_P.copy_(torch.where(std_P > 1e-4, std_P, torch.ones_like(std_P)))
        classes = self.head.out_features
        count_K = torch.bincount(target_B, minlength=classes)
        weight_B = torch.ones_like(pooled_BP[:, 0], dtype=torch.float64)
        if self.config.balanced:
            weight_B = (len(target_B) / (count_K > 0).sum() / count_K.double())[target_B]
        sign_BK = 2 * nn.functional.one_hot(target_B, classes).double() - 1
        ridge = fit_ridge((pooled_BP - self.mean_P) / self.std_P, sign_BK, weight_B, self.config.penalties)
        scale = softmax_scale(ridge.left_out_BK, target_B)
        self.head.weight.copy_(ridge.weight_KP * scale)
        self.head.bias.copy_(ridge.bias_K * scale)

    def pooled(self, x_BNF: Float[Tensor, "B N F"], lengths_B: Int[Tensor, " B"]) -> Float[Tensor, "B P"]:
        """Pooled features, a few clips at a time."""
        widest = max(len(self.dilations), *self.dilations.values())
        size = max(1, _BLOCK // (NUM_KERNELS * widest * x_BNF.shape[1]))
        pairs = zip(x_BNF.split(size), lengths_B.split(size), strict=True)
        return torch.cat([self._pooled(x[:, : int(lengths.max())], lengths) for x, lengths in pairs])

    def _pooled(self, x_BNF: Tensor, lengths_B: Tensor) -> Float[Tensor, "B P"]:
        # What is done for every dilation makes most of an exported graph, and tracing it most of an export's time:
        # hence the scale within the mixture, a sum for the mask, and one division at the end.
        beyond_B1N = (~valid_frames(x_BNF, lengths_B))[:, None].to(x_BNF.dtype) * _NEVER
        found = []
        for series in range(len(self.scale_SDC)):
            channels_DCF = self.channels_SDCF[series] * self.scale_SDC[series, :, :, None]
            mixed_BDCN = self._mixed(x_BNF, lengths_B, series, channels_DCF)
            for number, dilation in enumerate(self.dilations):
                out_BCN = self._convolve(mixed_BDCN[:, number], dilation) + beyond_B1N
                above_BCQN = out_BCN[:, :, None] - self._bias(number)[series][:, :, None]
                found.append(above_BCQN.clamp(0.0, 1.0).sum(-1).flatten(1))
                if self.config.positive_mean:
                    found.append((above_BCQN.clamp(min=0.0).sum(-1) * _RAMP).flatten(1))
        return torch.cat(found, 1) / lengths_B.clamp(min=1).to(x_BNF.dtype)[:, None]

    def _mixed(self, x_BNF: Tensor, lengths_B: Tensor, series: int, channels_DCF: Tensor) -> Float[Tensor, "B D C N"]:
        """What each kernel reads: a sum of features, 0 beyond the clip's end."""
        if series == 1:  # change since the frame before, none at the first
            x_BNF = x_BNF - torch.cat([x_BNF[:, :1], x_BNF[:, :-1]], 1)
        x_BNF = zero_others(x_BNF, valid_frames(x_BNF, lengths_B))
        return (x_BNF @ channels_DCF.flatten(0, 1).T).transpose(1, 2).unflatten(1, channels_DCF.shape[:2])

    def _convolve(self, mixed_BCN: Tensor, dilation: int) -> Float[Tensor, "B C N"]:
        reach = dilation * (_LENGTH // 2)
        if torch.onnx.is_in_onnx_export():
            weight_C19 = self.kernels_C9[:, None]
            return nn.functional.conv1d(mixed_BCN, weight_C19, padding=reach, dilation=dilation, groups=NUM_KERNELS)
        # The same numbers; torch's own is several times slower here.
        padded, frames = nn.functional.pad(mixed_BCN, (reach, reach)), mixed_BCN.shape[2]
        out_BCN = torch.zeros_like(mixed_BCN)
        for place in range(_LENGTH):
            start = place * dilation
            out_BCN = out_BCN.addcmul_(padded[:, :, start : start + frames], self.kernels_C9[:, place, None])
        return out_BCN

    def _bias(self, number: int) -> Tensor:
        """(S, C, Q): where the ramp of each bias starts, in ramps."""
        return self.get_buffer(f"bias{number}_SCQ")

    def _fit_biases(self, x_BNF: Tensor, lengths_B: Tensor) -> None:
        """Quantiles of the convolution's values in some training clips, spread evenly by the golden ratio."""
        generator = torch.Generator().manual_seed(self.config.seed)
        looked_at = max(2, _LOOKED_AT // int(lengths_B.max()))
        for series in range(len(self.scale_SDC)):
            used = 0
            for number, (dilation, count) in enumerate(self.dilations.items()):
                rows_M = torch.randperm(len(lengths_B), generator=generator)[:looked_at].to(x_BNF.device)
                valid_MN = valid_frames(x_BNF[rows_M], lengths_B[rows_M])
                channels_1CF = self.channels_SDCF[series, number : number + 1]
                mixed_MCN = self._mixed(x_BNF[rows_M], lengths_B[rows_M], series, channels_1CF)[:, 0]
                values = self._convolve(mixed_MCN, dilation).transpose(0, 1)[:, valid_MN]
                level_CQ = torch.arange(used + 1, used + 1 + NUM_KERNELS * count, dtype=torch.float64) * _GOLDEN % 1
                bias_CQ = _quantiles(values, level_CQ.view(NUM_KERNELS, count).to(values))
                scale_C = 1 / (_RAMP * values.std(1, correction=0)).clamp(min=1e-3)
                self.scale_SDC[series, number] = scale_C
                self._bias(number)[series] = bias_CQ * scale_C[:, None] - 0.5
                used += NUM_KERNELS * count


class Ridge(NamedTuple):
    """A linear classifier, and what it says of each training clip when trained on all others."""

    weight_KP: Float[Tensor, "K P"]
    bias_K: Float[Tensor, " K"]
    left_out_BK: Float[Tensor, "B K"]
    penalty: float


def fit_ridge(
    x_BP: Float[Tensor, "B P"],
    y_BK: Float[Tensor, "B K"],
    weight_B: Float[Tensor, " B"],
    penalties: Sequence[float],
) -> Ridge:
    """Least weighted squares with a penalty and a free intercept; the penalty with the least leave-one-out error.

    All penalties come from one decomposition, of clips x clips or features x features, whichever is smaller.
    Source: Rifkin and Lippert 2007, Notes on regularized least squares; as scikit-learn's RidgeClassifierCV.
    """
    weight_B = weight_B / weight_B.sum()
    root_B1 = weight_B.sqrt()[:, None]
    total = float(len(weight_B)) ** 0.5  # so that equal weights are 1
    mean_P, mean_K = weight_B @ x_BP.double(), weight_B @ y_BK
    x_BP = (x_BP - mean_P) * root_B1 * total
    y_BK = (y_BK - mean_K) * root_B1 * total
    if x_BP.shape[0] <= x_BP.shape[1]:
        square_R, left_BR = torch.linalg.eigh(x_BP @ x_BP.T)
    else:
        square_R, right_PR = torch.linalg.eigh(x_BP.T @ x_BP)
        left_BR = x_BP @ right_PR / square_R.clamp(min=1e-9 * float(square_R[-1].clamp(min=1e-9))).sqrt()
    square_R = square_R.clamp(min=0.0)
    y_RK, free_B = left_BR.T @ y_BK, root_B1[:, 0].square()
    best_error, best, best_penalty = float("inf"), y_BK, penalties[0]
    for penalty in penalties:
        shrink_R = square_R / (square_R + penalty)
        residual_BK = y_BK - left_BR @ (shrink_R[:, None] * y_RK)
        own_B = 1 - left_BR.square() @ shrink_R - free_B
        left_out_BK = residual_BK / own_B.clamp(min=1e-12)[:, None]
        error = float(left_out_BK.square().mean())
        if error < best_error:
            best_error, best, best_penalty = error, left_out_BK, penalty
    weight_PK = x_BP.T @ (left_BR @ (y_RK / (square_R + best_penalty)[:, None]))
    left_out_BK = mean_K + (y_BK - best) / (root_B1 * total)
    return Ridge(weight_PK.T, mean_K - mean_P @ weight_PK, left_out_BK, best_penalty)


def softmax_scale(score_BK: Float[Tensor, "B K"], target_B: Int[Tensor, " B"]) -> float:
    """What to multiply scores by so that their softmax has the least log-loss; 0.01 to 1000.

    Each target keeps a small share for the other classes, as if one clip more had been wrong: scores that are all
    right would else ask for certainty. Source: Platt 1999, Probabilistic outputs for support vector machines.
    """
    smoothing = 1 / (len(target_B) + 2)

    def loss(power: float) -> float:
        logits_BK = score_BK * 10**power
        return float(nn.functional.cross_entropy(logits_BK, target_B, label_smoothing=smoothing))

    low, high = -2.0, 3.0
    for _ in range(40):  # the loss is convex in the scale: one valley
        third = (high - low) / 3
        if loss(low + third) < loss(high - third):
            high -= third
        else:
            low += third
    return float(10 ** ((low + high) / 2))


def spread_dilations(frames: int, per_kernel: int) -> dict[int, int]:
    """Dilations from 1 to where a kernel covers `frames`, and how many of a kernel's biases each of them gets.

    Exponentially spread, rounded down; small dilations that several fall on get more biases. As MiniRocket.
    """
    steps = min(per_kernel, _MAX_DILATIONS)
    widest = max((frames - 1) / (_LENGTH - 1), 1.0)
    counts: dict[int, int] = {}
    for bias in range(per_kernel):
        power = (bias % steps) / max(steps - 1, 1)
        dilation = int(widest**power + 1e-9)
        counts[dilation] = counts.get(dilation, 0) + 1
    return dict(sorted(counts.items()))


def _kernels() -> Float[Tensor, "C 9"]:
    weights = torch.full((NUM_KERNELS, _LENGTH), -1.0)
    for kernel, triple in enumerate(_TRIPLES):
        weights[kernel, list(triple)] = 2.0
    return weights


def _choose_channels(shape: tuple[int, int, int], size_in: int, generator: torch.Generator) -> Float[Tensor, "S D C F"]:
    """1 where a kernel reads the feature: 1 to 9 random ones, few more often than many."""
    most = min(size_in, _MOST_CHANNELS)
    count_SDC = torch.pow(most + 1, torch.rand(shape, generator=generator)).long().clamp(1, most)
    rank_SDCF = torch.rand(*shape, size_in, generator=generator).argsort(-1).argsort(-1)
    return (rank_SDCF < count_SDC[..., None]).float()


def _quantiles(values_CV: Float[Tensor, "C V"], level_CQ: Float[Tensor, "C Q"]) -> Float[Tensor, "C Q"]:
    """Of each row, between neighbouring values in proportion."""
    ordered_CV = values_CV.sort(1).values
    place_CQ = level_CQ * (values_CV.shape[1] - 1)
    below_CQ = place_CQ.floor().long()
    above_CQ = (below_CQ + 1).clamp(max=values_CV.shape[1] - 1)
    return torch.lerp(ordered_CV.gather(1, below_CQ), ordered_CV.gather(1, above_CQ), place_CQ - below_CQ)
