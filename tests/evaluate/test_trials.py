"""What a summary says of the training behind the weights that were measured."""

from __future__ import annotations

from pathlib import Path

from crossframe.evaluate.trials import training_of
from crossframe.recipes.load import RECIPE, dump_recipe, load_recipe


def test_a_checkpoint_says_how_few_clips_it_learned_from(tmp_path: Path) -> None:
    recipe = load_recipe("hmdb51-few-shot", ["data.shots=4", "data.draw=2", "data.source=hmdb-1.csv", "train.seed=7"])
    (tmp_path / RECIPE).write_text(dump_recipe(recipe))
    assert training_of(str(tmp_path)) == {
        "recipe": "hmdb51-few-shot",
        "init": "openai/clip-vit-base-patch16",
        "data": "hmdb-1.csv",
        "shots": 4,
        "draw": 2,
        "epochs": 50,
        "seed": 7,
    }


def test_weights_that_do_not_say_where_they_come_from(tmp_path: Path) -> None:
    assert training_of("shapes") is None
    assert training_of("microsoft/xclip-base-patch32") is None
    (tmp_path / RECIPE).write_text("name: of another version\nfuture: 1\n")
    assert training_of(str(tmp_path)) is None
