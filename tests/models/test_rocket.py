"""If these fail, few clips are learnt worse than they could be, or a served answer is not the one that was fitted."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifierCV
from torch import Tensor

from sigflow.models.rocket import (
    NUM_KERNELS,
    RocketConfig,
    RocketModel,
    fit_ridge,
    softmax_scale,
    spread_dilations,
)
from tests.models.parity import check_company, check_parity, draw

SMALL = RocketConfig(frames=40, num_features=1000)
ALL = RocketConfig(frames=40, num_features=2000, difference=True, positive_mean=True)


def waves(count: int, frames: int = 60, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Two frequencies in noise, at random phases, in the first of 3 features; lengths from half of `frames`."""
    generator = torch.Generator().manual_seed(seed)
    target_B = torch.arange(count) % 2
    lengths_B = torch.randint(frames // 2, frames + 1, (count,), generator=generator)
    turns_BN = torch.arange(frames) * (0.06 + 0.08 * target_B[:, None]) + torch.rand(count, 1, generator=generator)
    x_BNF = 0.5 * torch.randn(count, frames, 3, generator=generator)
    x_BNF[:, :, 0] += (2 * torch.pi * turns_BN).sin()
    x_BNF[torch.arange(frames) >= lengths_B[:, None]] = float("nan")
    return x_BNF, lengths_B, target_B


def fitted(config: RocketConfig, size: int = 3, classes: int = 3) -> RocketModel:
    model = RocketModel(config, size, classes).eval()
    x_BNF, lengths_B, _ = draw(24, 40, size, seed=5)
    model.fit(x_BNF, lengths_B, torch.arange(24) % classes)
    return model


def logits(model: RocketModel, x_BNF: Tensor, lengths_B: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x_BNF, lengths_B, torch.ones(x_BNF.shape[:2], dtype=torch.bool))


def test_twenty_clips_suffice_to_tell_two_frequencies() -> None:
    x_BNF, lengths_B, target_B = waves(40)
    model = RocketModel(SMALL, 3, 2).eval()
    model.fit(x_BNF[:20], lengths_B[:20], target_B[:20])
    right = logits(model, x_BNF[20:], lengths_B[20:]).argmax(1) == target_B[20:]
    assert right.float().mean() >= 0.95


@pytest.mark.parametrize("config", [SMALL, ALL])
def test_pooled_features_are_what_the_papers_say_in_plain_loops(config: RocketConfig) -> None:
    model = fitted(config)
    clips = draw(2, 23, 3, seed=1)
    pooled = model.pooled(clips.x_BNF, clips.lengths_B)
    column = 0
    triples = [(a, b, c) for a in range(9) for b in range(a + 1, 9) for c in range(b + 1, 9)]
    for series in range(1 + config.difference):
        for number, (dilation, count) in enumerate(model.dilations.items()):
            bias_CQ = model.get_buffer(f"bias{number}_SCQ")[series].numpy()
            for kernel in range(0, NUM_KERNELS, 7):
                read = np.flatnonzero(model.channels_SDCF[series, number, kernel].numpy())
                scale = float(model.scale_SDC[series, number, kernel])
                for clip, length in enumerate(clips.lengths_B.tolist()):
                    signal = clips.x_BNF[clip, :length].numpy()[:, read].sum(1)
                    if series:
                        signal = np.diff(signal, prepend=signal[0])
                    out = np.zeros(length)
                    for frame in range(length):
                        for place in range(9):
                            source = frame + (place - 4) * dilation
                            if 0 <= source < length:
                                out[frame] += signal[source] * (2 if place in triples[kernel] else -1)
                    above = out[:, None] * scale - bias_CQ[kernel]
                    start = column + kernel * count
                    share = np.clip(above, 0, 1).mean(0)
                    assert np.allclose(pooled[clip, start : start + count], share, atol=1e-4)
                    if config.positive_mean:  # in standard deviations of the convolution
                        start += NUM_KERNELS * count
                        excess = np.clip(above, 0, None).mean(0) * 0.02
                        assert np.allclose(pooled[clip, start : start + count], excess, atol=1e-4)
            column += NUM_KERNELS * count * (1 + config.positive_mean)
    assert column == pooled.shape[1]
    assert float(pooled.min()) >= 0


def test_biases_are_quantiles_so_that_the_share_above_them_is_spread_evenly() -> None:
    x_BNF, lengths_B, target_B = waves(30)
    model = RocketModel(SMALL, 3, 2)
    model.fit(x_BNF, lengths_B, target_B)
    share_P = model.pooled(x_BNF, lengths_B).mean(0)
    counts = torch.histc(share_P, bins=4, min=0, max=1)
    assert float(counts.min()) > 0.15 * len(share_P)


@pytest.mark.parametrize(("frames", "widest"), [(1, 1), (9, 1), (30, 3), (400, 49), (2000, 249)])
def test_dilations_reach_from_neighbours_to_the_whole_clip(frames: int, widest: int) -> None:
    for per_kernel in (1, 2, 30, 119):
        counts = spread_dilations(frames, per_kernel)
        assert sum(counts.values()) == per_kernel
        assert min(counts) == 1
        assert len(counts) <= 32
        if per_kernel > 1:
            assert max(counts) == widest
    assert RocketModel(RocketConfig(frames=frames), 2, 2).mean_P.shape == (9996,)


def test_each_kernel_reads_one_to_nine_different_features() -> None:
    counts = RocketModel(RocketConfig(), 30, 2).channels_SDCF.sum(-1)
    assert set(counts.flatten().tolist()) == set(range(1, 10))
    assert RocketModel(SMALL, 2, 2).channels_SDCF.sum(-1).max() == 2
    assert bool((RocketModel(SMALL, 1, 2).channels_SDCF == 1).all())


@pytest.mark.parametrize(("clips", "features"), [(40, 90), (90, 40)])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_classifier_is_scikit_learns_with_the_same_penalty(clips: int, features: int, classes: int) -> None:
    rng = np.random.default_rng(0)
    target = np.arange(clips) % classes
    x = rng.normal(size=(clips, features)) + 3 + 0.7 * rng.normal(size=(classes, features))[target]
    penalties = [0.1, 1.0, 10.0, 100.0, 1000.0]
    theirs = RidgeClassifierCV(alphas=penalties).fit(x, target)
    sign = torch.from_numpy(2.0 * np.eye(classes)[target] - 1)
    ours = fit_ridge(torch.from_numpy(x), sign, torch.ones(clips, dtype=torch.float64), penalties)
    assert ours.penalty == theirs.alpha_
    decision = (torch.from_numpy(x) @ ours.weight_KP.T + ours.bias_K).numpy()
    expected = theirs.decision_function(x)
    assert np.allclose(decision if classes > 2 else decision[:, 1], expected, atol=1e-6)


def test_balanced_weights_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    target = np.array([0] * 30 + [1] * 6 + [2] * 4)
    x = rng.normal(size=(40, 60)) + 0.5 * rng.normal(size=(3, 60))[target]
    theirs = RidgeClassifierCV(alphas=[10.0], class_weight="balanced").fit(x, target)
    weight = torch.from_numpy((40 / 3 / np.bincount(target))[target])
    ours = fit_ridge(torch.from_numpy(x), torch.from_numpy(2 * np.eye(3)[target] - 1), weight, [10.0])
    decision = (torch.from_numpy(x) @ ours.weight_KP.T + ours.bias_K).numpy()
    assert np.allclose(decision, theirs.decision_function(x), atol=1e-6)


@pytest.mark.parametrize(("clips", "features"), [(12, 20), (20, 7)])
def test_left_out_scores_are_those_of_training_without_the_clip(clips: int, features: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(clips, features, generator=generator, dtype=torch.float64) + 2
    sign = torch.randn(clips, 2, generator=generator, dtype=torch.float64).sign()
    ones = torch.ones(clips, dtype=torch.float64)
    given = fit_ridge(x, sign, ones, [3.0]).left_out_BK
    for clip in range(clips):
        rest = torch.arange(clips) != clip
        alone = fit_ridge(x[rest], sign[rest], ones[rest], [3.0])
        assert torch.allclose(given[clip], alone.weight_KP @ x[clip] + alone.bias_K, atol=1e-8)


def test_the_scale_of_the_logits_is_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(4000, 4, generator=generator)
    target = torch.multinomial((score * 2.5).softmax(1), 1, generator=generator)[:, 0]
    assert 2.2 < softmax_scale(score, target) < 2.8


def test_scores_that_are_all_right_do_not_ask_for_certainty() -> None:
    target = torch.arange(30) % 3
    score = 2 * torch.nn.functional.one_hot(target, 3).double() - 1
    probs = (score * softmax_scale(score, target)).softmax(1)
    assert 0.9 < float(probs.max()) < 0.995


def test_probabilities_are_as_good_as_they_say_on_new_clips() -> None:
    x_BNF, lengths_B, target_B = waves(160)
    x_BNF = x_BNF + 1.5 * torch.randn(x_BNF.shape, generator=torch.Generator().manual_seed(1))
    model = RocketModel(SMALL, 3, 2).eval()
    model.fit(x_BNF[:60], lengths_B[:60], target_B[:60])
    confidence, answer = logits(model, x_BNF[60:], lengths_B[60:]).softmax(1).max(1)
    right = (answer == target_B[60:]).float()
    assert 0.6 < right.mean() < 0.97  # neither hopeless nor easy
    assert abs(float(right.mean() - confidence.mean())) < 0.12


def test_fitting_again_forgets_the_first_clips() -> None:
    x_BNF, lengths_B, target_B = waves(30)
    again, once = (RocketModel(SMALL, 3, 2).eval() for _ in range(2))
    again.fit(5 * x_BNF[:12], lengths_B[:12], target_B[:12])
    for model in (again, once):
        model.fit(x_BNF, lengths_B, target_B)
    assert torch.equal(logits(again, x_BNF, lengths_B), logits(once, x_BNF, lengths_B))


def test_padding_counts_as_no_frame_where_features_hardly_vary() -> None:
    """Such a feature's convolutions are divided by next to nothing: their values are huge."""
    x_BNF, lengths_B, target_B = waves(20)
    model = RocketModel(SMALL, 1, 2).eval()
    model.fit(1e-6 * x_BNF[:, :, :1], lengths_B, target_B)
    wild_BNF = 8 * x_BNF[:, :, :1]
    alone = logits(model, wild_BNF[:1, : int(lengths_B[0])], lengths_B[:1])
    assert torch.allclose(logits(model, wild_BNF, lengths_B)[:1], alone, atol=1e-5)


def test_saved_weights_are_the_whole_model() -> None:
    model = fitted(ALL)
    again = RocketModel(ALL.model_copy(update={"seed": 7}), 3, 3).eval()
    again.load_state_dict(model.state_dict())
    x_BNF, lengths_B, _ = draw(5, 30, 3)
    assert torch.equal(logits(again, x_BNF, lengths_B), logits(model, x_BNF, lengths_B))


def test_the_same_seed_gives_the_same_model_and_another_one_another() -> None:
    first, second, other = (fitted(SMALL.model_copy(update={"seed": seed})) for seed in (0, 0, 1))
    x_BNF, lengths_B, _ = draw(5, 30, 3)
    assert torch.equal(logits(first, x_BNF, lengths_B), logits(second, x_BNF, lengths_B))
    assert not torch.allclose(logits(first, x_BNF, lengths_B), logits(other, x_BNF, lengths_B))
    assert not torch.equal(first.channels_SDCF, other.channels_SDCF)


@pytest.mark.parametrize("config", [SMALL, ALL])
def test_the_exported_graph_gives_torchs_numbers(config: RocketConfig) -> None:
    check_parity(fitted(config), 3)


@pytest.mark.parametrize("config", [SMALL, ALL])
def test_neither_padding_nor_company_changes_an_answer(config: RocketConfig) -> None:
    check_company(fitted(config), 3)


def test_a_constant_feature_and_clips_of_one_frame_give_finite_answers() -> None:
    lengths_B, target_B = torch.ones(10, dtype=torch.int64), torch.arange(10) % 2
    for x_BNF in (torch.zeros(10, 1, 1), torch.full((10, 1, 1), 3.0), torch.full((10, 50, 1), -2.0)):
        model = RocketModel(SMALL, 1, 2).eval()
        model.fit(x_BNF, lengths_B * x_BNF.shape[1], target_B)
        assert logits(model, x_BNF, lengths_B).isfinite().all()
        assert torch.allclose(logits(model, x_BNF, lengths_B * x_BNF.shape[1]).softmax(1), torch.tensor(0.5))


def test_a_class_without_training_clips_is_never_the_answer() -> None:
    x_BNF, lengths_B, target_B = waves(20)
    model = RocketModel(SMALL.model_copy(update={"balanced": True}), 3, 4).eval()
    model.fit(x_BNF, lengths_B, 1 + target_B)
    assert set(logits(model, x_BNF, lengths_B).argmax(1).tolist()) == {1, 2}


def test_before_it_is_fitted_all_classes_are_alike() -> None:
    assert logits(RocketModel(SMALL, 3, 4), torch.randn(2, 5, 3), torch.tensor([5, 2])).eq(0).all()
