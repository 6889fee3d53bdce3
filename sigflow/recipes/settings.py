"""A recipe's settings one by one, and which of them a training that is under way can take up."""

from typing import Any

from sigflow.recipes.recipe import Recipe

# Those that say nothing about what the numbers of a checkpoint mean.
_MAY_CHANGE = (
    "augmentation.", "gates.", "monitors.", "optim.clip_norm", "optim.lr", "optim.plateau_patience",
    "optim.weight_decay", "train.bucket_batches", "train.epochs", "train.min_delta", "train.most_steps",
    "train.patience", "train.precision", "train.refit_epochs",
)  # fmt: skip


def leaves(values: Any, prefix: str = "") -> dict[str, Any]:
    """Every number, text and truth value under its path: optim.lr, frontend.features.0.kind."""
    if isinstance(values, dict):
        items = list(values.items())
    elif isinstance(values, list) and values:
        items = list(enumerate(values))
    else:
        return {prefix: values}
    return {
        path: leaf
        for key, value in items
        for path, leaf in leaves(value, f"{prefix}.{key}" if prefix else str(key)).items()
    }


def obstacles_to_going_on(before: Recipe, now: Recipe) -> list[str]:
    """Settings that differ and cannot change on the way; dropout, rates, patience and the like can."""
    old, new = (leaves(recipe.model_dump(mode="json")) for recipe in (before, now))
    names = sorted(name for name in {*old, *new} if old.get(name, ...) != new.get(name, ...))
    return [name for name in names if not (name.startswith(_MAY_CHANGE) or _is_dropout(name))]


def _is_dropout(name: str) -> bool:
    return name.startswith("model.") and "dropout" in name.split(".")
