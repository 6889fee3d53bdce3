"""If these fail, a mixed clip carries labels that it does not show."""

import pytest
import torch
from torch import Tensor

from sigflow.data.augment import Mixing, cutmix, mix, mixup

NAN = float("nan")
CLASSES = torch.tensor([0, 1, 0, 2, 1, 0, 1, 0])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(classes: Tensor = CLASSES, frames: int = 20) -> tuple[Tensor, Tensor]:
    """Clips of which every number is the clip's own class, and their targets."""
    target = torch.nn.functional.one_hot(classes, 3).float()
    return classes.float()[:, None, None].expand(-1, frames, 2).clone(), target


def test_switched_off_nothing_is_copied() -> None:
    values, target = numbered()
    for result in (mixup(values, target, 0.0, False, seeded()), cutmix(values, target, 0.0, seeded())):
        assert result[0] is values
        assert result[1] is target


@pytest.mark.parametrize("within_class", [True, False])
def test_mixup_mixes_the_target_as_it_mixes_the_clips(within_class: bool) -> None:
    values = torch.nn.functional.one_hot(CLASSES, 3).float()[:, None].expand(-1, 20, 3)
    for seed in range(10):
        mixed, target = mixup(values, torch.eye(3)[CLASSES], 0.4, within_class, seeded(seed))
        assert torch.allclose(mixed, target[:, None].expand(-1, 20, 3), atol=1e-6)
        assert torch.allclose(target.sum(1), torch.ones(8))
        assert (target[torch.arange(8), CLASSES] > 0).all() or not within_class


def test_within_a_class_labels_stay_hard_and_clips_are_mixed_with_others_of_their_class() -> None:
    clip = torch.arange(8).float()[:, None, None].expand(8, 4, 1)
    partners: list[set[int]] = [set() for _ in range(8)]
    for seed in range(40):
        mixed, target = mixup(clip, torch.eye(3)[CLASSES], 1.0, True, seeded(seed))
        assert torch.allclose(target, torch.eye(3)[CLASSES], atol=1e-6)
        for i in range(8):
            if float(mixed[i, 0, 0]) != i:
                partners[i].add(1 if float(mixed[i, 0, 0]) > i else -1)
    assert not partners[3]  # alone in its class
    assert all(partners[i] for i in (0, 1, 2, 4, 5, 6, 7))
    assert partners[0] == {1}  # mixed with 2, 5 or 7, never with itself alone
    low, high = CLASSES.tolist().index(1), 6
    for seed in range(40):
        mixed, _ = mixup(clip, torch.eye(3)[CLASSES], 1.0, True, seeded(seed))
        assert low <= float(mixed[4, 0, 0]) <= high


def test_what_one_clip_lacks_mixup_takes_from_the_other() -> None:
    values, target = torch.tensor([[[1.0, NAN, NAN]], [[3.0, 5.0, NAN]]]), torch.eye(2)
    for seed in range(10):
        mixed, soft = mixup(values, target, 1.0, False, seeded(seed))
        if torch.equal(soft, target):  # each was paired with itself
            continue
        assert torch.equal(mixed[:, 0, 1], torch.tensor([5.0, 5.0]))
        assert mixed[:, 0, 2].isnan().all()
        assert 1 <= float(mixed[0, 0, 0]) <= 3
        return
    pytest.fail("no pair was mixed")


def test_cutmix_puts_in_one_stretch_and_mixes_the_target_by_its_share() -> None:
    values, target = numbered()
    stretches = 0
    for seed in range(20):
        mixed, soft = cutmix(values, target, 1.0, seeded(seed))
        assert torch.equal(mixed[..., 0], mixed[..., 1])
        for i, own in enumerate(CLASSES):
            foreign = mixed[i, :, 0] != own
            assert float(soft[i, own]) == pytest.approx(1 - float(foreign.float().mean()), abs=1e-6)
            assert int(foreign.int().diff().abs().sum()) <= 2
            stretches += int(foreign.any())
        assert torch.allclose(soft.sum(1), torch.ones(8))
    assert stretches > 50


def test_cutmix_keeps_frames_in_their_place_and_missing_frames_missing() -> None:
    values = torch.arange(20).float()[None, :, None].expand(8, 20, 2).clone()
    values[:, 7] = NAN
    mixed, _ = cutmix(values, torch.eye(3)[CLASSES], 1.0, seeded())
    assert torch.equal(mixed.nan_to_num(-1), values.nan_to_num(-1))


def test_the_same_seed_mixes_the_same_clips() -> None:
    values, target = numbered()
    random = torch.rand(8, 4, 2, generator=seeded(3))

    def mixes(seed: int) -> list[Tensor]:
        across = mixup(values, target, 0.4, within_class=False, generator=seeded(seed))
        within = mixup(random, target, 0.4, within_class=True, generator=seeded(seed))
        return [across[0], within[0], cutmix(values, target, 1.0, seeded(seed))[0]]

    assert all(torch.equal(a, b) for a, b in zip(mixes(1), mixes(1), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(mixes(1), mixes(2), strict=True))


def test_the_recipe_chooses_how_clips_are_mixed() -> None:
    values, target = torch.rand(8, 20, 2, generator=seeded(3)), torch.eye(3)[CLASSES]
    off = mix(values, target, Mixing(), seeded())
    assert off[0] is values
    assert off[1] is target
    up = mixup(values, target, 0.4, within_class=True, generator=seeded(1))
    cut = cutmix(values, target, 0.7, seeded(1))
    assert torch.equal(mix(values, target, Mixing(mixup_alpha=0.4, mixup_within_class=True), seeded(1))[0], up[0])
    assert torch.equal(mix(values, target, Mixing(cutmix_alpha=0.7), seeded(1))[0], cut[0])


def test_with_both_on_each_batch_is_mixed_in_one_way() -> None:
    values, target = numbered()
    generator = seeded()
    whole = 0
    for _ in range(60):
        mixed, _ = mix(values, target, Mixing(mixup_alpha=1.0, cutmix_alpha=1.0), generator)
        whole += int((mixed == mixed.round()).all())  # cutmix puts whole numbers in
    assert 15 < whole < 45
