"""If these fail, frames that do not count are counted in a clip's vector."""

import pytest
import torch

from sigflow.models.pooling import AttentionPooling, masked_mean, valid_frames, zero_others

NAN = float("nan")


def test_frames_count_up_to_each_clips_end() -> None:
    valid = valid_frames(torch.zeros(3, 4, 2), torch.tensor([1, 4, 2]))
    assert valid.tolist() == [[True, False, False, False], [True] * 4, [True, True, False, False]]


def test_what_stands_beyond_is_wiped_out_and_the_rest_is_not() -> None:
    x_BNF = torch.tensor([[[1.0, 2.0], [NAN, float("inf")]]])
    assert zero_others(x_BNF, torch.tensor([[True, False]])).tolist() == [[[1.0, 2.0], [0.0, 0.0]]]


def test_the_mean_is_of_the_frames_that_count() -> None:
    x_BNF = torch.tensor([[[1.0], [3.0], [NAN]], [[NAN], [NAN], [NAN]]])
    keep_BN = torch.tensor([[True, True, False], [False, False, False]])
    assert masked_mean(x_BNF, keep_BN).tolist() == [[2.0], [0.0]]


def test_attention_weighs_by_its_score_and_never_looks_beyond() -> None:
    pooling = AttentionPooling(1)
    torch.nn.init.constant_(pooling.score.weight, 2.0)
    got = pooling(torch.tensor([[[0.0], [1.0], [NAN]]]), torch.tensor([[True, True, False]]))
    assert got.item() == pytest.approx(torch.tensor(2.0).sigmoid().item())
