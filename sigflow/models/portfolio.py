"""Several models side by side, each trained for itself; their probabilities are averaged with learnt weights.

Shape suffixes: B batch, N frames, F features, K classes, M members, S clips that weigh the members.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class Portfolio(nn.Module):
    """Logits (B, K): the logarithm of the members' weighted mean probability. `weights`: (M,), adding up to 1."""

    weights: Tensor

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("weights", torch.full((len(members),), 1 / len(members)))

    def forward(
        self, x_BNF: Float[Tensor, "B N F"], lengths_B: Int[Tensor, " B"], seen_BN: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B K"]:
        """Log-probabilities."""
        probs = [member(x_BNF, lengths_B, seen_BN).softmax(-1) for member in self.members]
        mixed_BK: Tensor = (torch.stack(probs, -1) * self.weights).sum(-1)
        return mixed_BK.clamp(min=1e-7).log()


def mixture_weights(probs_MS: Float[Tensor, "M S"], prior_clips: float = 5.0) -> Float[Tensor, " M"]:
    """Weights under which the clips are likeliest, given each member's probability of the right class.

    By expectation maximisation, with `prior_clips` clips that all members explain alike, so that a few clips cannot
    silence a member. Source: Dempster, Laird and Rubin 1977.
    """
    members, clips = probs_MS.shape
    weights_M = torch.full((members,), 1 / members, dtype=torch.float64)
    probs_MS = probs_MS.double().cpu().clamp(min=1e-9)
    for _ in range(200):
        joint_MS = weights_M[:, None] * probs_MS
        share_MS = joint_MS / joint_MS.sum(0)
        weights_M = (share_MS.sum(1) + prior_clips / members) / (clips + prior_clips)
    return weights_M.float()
