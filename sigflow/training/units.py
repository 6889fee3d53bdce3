"""A quantiser of what hands do: each frame's handshape, orientation, place and movement as one of a few units.

Shape suffixes: N clips, T frames, P numbers of phonology, U codebooks (four of each hand).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sigflow.features.phonology import PhonologyFeatures

UNKNOWN = -1
_FRAMES = 20_000  # that k-means looks at; more would only take longer
_TOGETHER = (("flexion", "spread"), ("orientation",), ("location",), ("movement",))


@dataclass(frozen=True)
class Units:
    """Codebooks: of each the columns of phonology that it reads, their mean and standard deviation, its centres."""

    columns: tuple[tuple[int, ...], ...]
    mean_P: Tensor
    std_P: Tensor
    centres: tuple[Tensor, ...]  # (codes, columns)

    def name(self, values_NTP: Float[Tensor, "N T P"]) -> Int[Tensor, "N T U"]:
        """The nearest unit of each codebook; UNKNOWN where it cannot be seen."""
        scaled_NTP = (values_NTP - self.mean_P) / self.std_P
        found = []
        for columns, centres in zip(self.columns, self.centres, strict=True):
            own = scaled_NTP[..., list(columns)]
            known_NT = ~own.isnan().any(-1)
            nearest_NT = torch.cdist(own.nan_to_num(0.0).flatten(0, 1), centres).argmin(1).view(known_NT.shape)
            found.append(torch.where(known_NT, nearest_NT, UNKNOWN))
        return torch.stack(found, -1)


def find_units(values_NTP: Float[Tensor, "N T P"], codes: int, seed: int) -> Units:
    """Codebooks of up to `codes` units each, by k-means of the frames that are known."""
    from sklearn.cluster import KMeans  # here, because it takes a second that most trainings need not spend

    slices = PhonologyFeatures().slices
    columns = tuple(
        tuple(column for name in names for column in range(*slices[f"{side}_{name}"].indices(values_NTP.shape[2])))
        for side in ("left", "right")
        for names in _TOGETHER
    )
    frames = values_NTP.flatten(0, 1).cpu().numpy().astype(np.float64)
    mean, std = (np.nan_to_num(measure(frames)) for measure in (_mean, _std))
    std[std < 1e-6] = 1.0
    rng = np.random.default_rng(seed)
    centres = []
    for its in columns:
        own = ((frames - mean) / std)[:, list(its)]
        own = own[~np.isnan(own).any(1)]
        own = own[rng.permutation(len(own))[:_FRAMES]]
        kinds = min(codes, len(np.unique(own, axis=0)))
        found = (
            KMeans(kinds, n_init=1, max_iter=50, random_state=seed).fit(own).cluster_centers_
            if kinds else np.zeros((1, len(its)))
        )  # fmt: skip
        centres.append(torch.from_numpy(found).float().to(values_NTP.device))
    mean_P, std_P = (torch.from_numpy(each).float().to(values_NTP.device) for each in (mean, std))
    return Units(columns, mean_P, std_P, tuple(centres))


def _mean(frames: np.ndarray) -> np.ndarray:
    known = ~np.isnan(frames)
    mean: np.ndarray = np.where(known, frames, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    return mean


def _std(frames: np.ndarray) -> np.ndarray:
    return np.sqrt(_mean((frames - _mean(frames)) ** 2))
