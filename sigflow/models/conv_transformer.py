"""Depthwise convolutions and self attention in turn: what won Google's isolated-sign contest.

Source: Hoyeol Sohn 2023, first place of Kaggle's "Google - Isolated Sign Language Recognition".
Shape suffixes: B batch, N frames, F features, C channels, H heads, K classes.
"""

from typing import Literal

from jaxtyping import Bool, Float, Int
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention, silu

from sigflow.config import Config
from sigflow.models.norm import MaskedBatchNorm
from sigflow.models.pooling import AttentionPooling, masked_mean, valid_frames, zero_others

_ECA_KERNEL = 5  # channels


class ConvTransformerConfig(Config):
    """Defaults: the winner's order of layers at two thirds of its width.

    Its convolutions were causal; these look both ways, because a clip is complete when it is classified.
    """

    kind: Literal["conv_transformer"] = "conv_transformer"
    dim: PositiveInt = 128
    blocks: PositiveInt = 2  # each: convolutions, then one self attention
    convs_per_block: PositiveInt = 3
    kernel_size: PositiveInt = 17  # frames
    heads: PositiveInt = 4
    norm: Literal["batch", "layer"] = "batch"  # in front of attention; convolutions always have batch normalisation
    dropout: float = Field(default=0.2, ge=0, lt=1)
    pooling: Literal["mean", "attention"] = "mean"

    @model_validator(mode="after")
    def _divides(self) -> "ConvTransformerConfig":
        if self.dim % self.heads:
            raise ValueError("dim is a multiple of heads")
        return self


class ConvTransformerModel(nn.Module):
    """Standardised features to logits. Padding is kept at 0 in front of each layer that reads more than one frame."""

    def __init__(self, config: ConvTransformerConfig, size_in: int, num_classes: int) -> None:
        super().__init__()
        wide = 2 * config.dim
        self.stem = nn.Linear(size_in, config.dim, bias=False)
        self.norm = MaskedBatchNorm(config.dim)
        layers: list[nn.Module] = []
        for _ in range(config.blocks):
            layers += [_Convolution(config) for _ in range(config.convs_per_block)]
            layers.append(_Transformer(config))
        self.layers = nn.ModuleList(layers)
        self.expand = nn.Linear(config.dim, wide)
        self.pooling = AttentionPooling(wide) if config.pooling == "attention" else None
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(wide, num_classes)

    def forward(
        self, x_BNF: Float[Tensor, "B N F"], lengths_B: Int[Tensor, " B"], seen_BN: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B K"]:
        """Logits."""
        valid_BN = valid_frames(x_BNF, lengths_B)
        x_BNC = self.norm(self.stem(zero_others(x_BNF, valid_BN)), valid_BN)
        for layer in self.layers:
            x_BNC = layer(x_BNC, valid_BN)
        x_BNC = silu(self.expand(x_BNC))
        x_BC = masked_mean(x_BNC, valid_BN) if self.pooling is None else self.pooling(x_BNC, valid_BN)
        logits: Tensor = self.head(self.dropout(x_BC))
        return logits


class _Convolution(nn.Module):
    """Expand, look at the frames around by a depthwise convolution, weigh the channels, project, add."""

    def __init__(self, config: ConvTransformerConfig) -> None:
        super().__init__()
        wide = 2 * config.dim
        self.expand = nn.Linear(config.dim, wide)
        self.sides = (config.kernel_size // 2, (config.kernel_size - 1) // 2)
        self.depthwise = nn.Conv1d(wide, wide, config.kernel_size, groups=wide, bias=False)
        self.norm = MaskedBatchNorm(wide)
        self.channels = nn.Conv1d(1, 1, _ECA_KERNEL, padding=_ECA_KERNEL // 2, bias=False)
        self.project = nn.Linear(wide, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BNC: Float[Tensor, "B N C"], valid_BN: Bool[Tensor, "B N"]) -> Float[Tensor, "B N C"]:
        y_BNC = zero_others(silu(self.expand(x_BNC)), valid_BN)
        y_BNC = self.depthwise(pad(y_BNC.transpose(1, 2), self.sides)).transpose(1, 2)
        y_BNC = self.norm(y_BNC, valid_BN)
        # Efficient channel attention (Wang et al. 2020): each channel's weight from its neighbours' means.
        weight_BC = self.channels(masked_mean(y_BNC, valid_BN)[:, None]).squeeze(1).sigmoid()
        return x_BNC + self.dropout(self.project(y_BNC * weight_BC[:, None]))


class _Transformer(nn.Module):
    """Self attention over a clip's own frames, then a layer of twice the width; both normalised first, and added."""

    def __init__(self, config: ConvTransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm = _Norm(config)
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.attended = nn.Linear(config.dim, config.dim, bias=False)
        self.norm_wide = _Norm(config)
        self.expand = nn.Linear(config.dim, 2 * config.dim, bias=False)
        self.project = nn.Linear(2 * config.dim, config.dim, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BNC: Float[Tensor, "B N C"], valid_BN: Bool[Tensor, "B N"]) -> Float[Tensor, "B N C"]:
        # Padding is 0 among the values too: a weight of 0 does not remove what is not finite.
        qkv_BNC = self.qkv(zero_others(self.norm(x_BNC, valid_BN), valid_BN))
        query, key, value = qkv_BNC.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        seen_BHNC = scaled_dot_product_attention(query, key, value, attn_mask=valid_BN[:, None, None, :])
        x_BNC = x_BNC + self.dropout(self.attended(seen_BHNC.transpose(1, 2).flatten(2)))
        return x_BNC + self.dropout(self.project(silu(self.expand(self.norm_wide(x_BNC, valid_BN)))))


class _Norm(nn.Module):
    """Batch or layer normalisation, called alike."""

    def __init__(self, config: ConvTransformerConfig) -> None:
        super().__init__()
        self.batch = MaskedBatchNorm(config.dim) if config.norm == "batch" else None
        self.layer = nn.LayerNorm(config.dim) if config.norm == "layer" else None

    def forward(self, x_BNC: Float[Tensor, "B N C"], valid_BN: Bool[Tensor, "B N"]) -> Float[Tensor, "B N C"]:
        if self.batch is not None:
            normed: Tensor = self.batch(x_BNC, valid_BN)
        else:
            assert self.layer is not None
            normed = self.layer(x_BNC)
        return normed
