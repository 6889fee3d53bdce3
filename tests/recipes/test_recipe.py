"""If these fail, a run is trained on settings that nobody asked for, or a typing error ends in a traceback."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from sigflow.errors import UserError
from sigflow.features.frontend import Frontend
from sigflow.features.hand import HandFeatures
from sigflow.losses import CrossEntropy
from sigflow.models.lstm import LstmConfig
from sigflow.recipes.recipe import Recipe, override, read_recipe
from sigflow.recipes.ways import TrainConfig

RECIPE = Recipe(name="mine", frontend=Frontend(features=(HandFeatures(side="left"),)), model=LstmConfig(hidden=(8, 4)))


def test_overrides_change_what_they_name_and_nothing_else() -> None:
    changed = override(
        RECIPE, ["optim.lr=3e-4", "train.epochs=7", "model.hidden=[16]", "loss.class_weights=true", "name=a=b",
                 "gates.worst_subject_accuracy=0.5"]
    )  # fmt: skip
    assert isinstance(changed.model, LstmConfig)
    assert isinstance(changed.loss, CrossEntropy)
    assert (changed.optim.lr, changed.train.epochs, changed.model.hidden) == (3e-4, 7, (16,))
    assert (changed.loss.class_weights, changed.name, changed.gates.worst_subject_accuracy) == (True, "a=b", 0.5)
    assert changed.frontend == RECIPE.frontend
    assert changed.optim.model_copy(update={"lr": RECIPE.optim.lr}) == RECIPE.optim
    assert override(RECIPE, []) == RECIPE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optim.lr", "write key=value"),
        ("optim.rate=1", r"--set optim\.rate: no such key; the recipe has .*optim\.lr"),
        ("optimiser.lr=1", "no such key"),
        ("name.first=a", "no such key"),
        ("optim.lr.x=1", "no such key"),
        ("optim.lr=fast", r"optim\.lr: input should be a valid number"),
        ("optim.lr=true", r"optim\.lr: "),
        ("optim.lr=NaN", r"optim\.lr: "),
        ("train.epochs=0", r"train\.epochs: input should be greater than or equal to 1"),
        ("train.epochs=1.5", r"train\.epochs: "),
        ("train.stop_on=wer", "wer is no figure of this loss"),
        ("gates.wer=0.1", "wer is no figure of this loss"),
        ("train.stop_on=luck", r"train\.stop_on: "),
        ("model.hidden=64", r"model\.lstm\.hidden: "),
        ("frontend.resampling.span=all", r"frontend\.resampling\.span: "),
        ('frontend.features=[{"kind": "hand", "side": "up"}]', r"frontend\.features\.0\.hand\.side: "),
        ('optim={"momentum": 1}', r"optim\.momentum: "),
    ],
)
def test_a_wrong_override_says_which_and_why(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        override(RECIPE, [text])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["loss.class_weights=true"], "set its balanced beside loss.class_weights"),
        (["augmentation.noise_sizes=0.1"], "take augmentation and mixing out"),
        (["mixing.mixup_alpha=0.2"], "take augmentation and mixing out"),
    ],
)
def test_what_a_rocket_would_not_do_is_refused(more: list[str], message: str) -> None:
    rocket = override(RECIPE, ['model={"kind": "rocket"}', "frontend.resampling.num_frames=30"])
    with pytest.raises(UserError, match=message):
        override(rocket, more)
    override(rocket, ["model.balanced=true", "loss.class_weights=true"])


def test_a_recipe_survives_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(RECIPE.model_dump_json())
    assert read_recipe(file) == RECIPE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a recipe"),
        ("[]", r"mine\.json"),
        ('{"name": "x"}', "frontend: field required"),
        (RECIPE.model_dump_json().replace('"dropout"', '"drop_out"'), r"model\.lstm\.drop_out: extra inputs"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.json"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        read_recipe(file)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.json").write_bytes(b"\xff\xfe\x00")
    for name in ("nothing.json", "image.json"):
        with pytest.raises(UserError, match="is not a recipe"):
            read_recipe(tmp_path / name)


def test_recipes_cannot_change_under_a_run() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RECIPE.train = TrainConfig()


def test_the_data_is_read_for_the_parts_of_the_features() -> None:
    assert RECIPE.parts == ("left_hand",)
