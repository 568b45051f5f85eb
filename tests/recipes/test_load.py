"""Recipes: all that ship are sound, and what is wrong in one is said in one line."""

from __future__ import annotations

from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from crossframe.recipes.load import RecipeError, dump_recipe, load_recipe, parse_recipe, recipe_names, to_values
from crossframe.recipes.schema import Distill, FileData, Interpolate
from crossframe.video.draws import Augment
from crossframe.video.mixing import Mixup


@pytest.mark.parametrize("tiny", [False, True])
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_survives_being_written(name: str, tiny: bool, tmp_path: Path) -> None:
    recipe = load_recipe(name, tiny=tiny)
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(recipe))
    assert load_recipe(path) == recipe
    assert recipe.name == name


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_opens_with_the_command_that_runs_it(name: str) -> None:
    text = files("crossframe.recipes").joinpath(f"{name}.yaml").read_text()
    assert text.startswith(f"# crossframe train {name} ")


def test_overrides_win_over_tiny_and_tiny_over_the_rest() -> None:
    plain = load_recipe("shapes-pretrain")
    small = load_recipe("shapes-pretrain", ["train.batch_size=3", "train.rates.base=1e-5"], tiny=True)
    assert small.train.epochs < plain.train.epochs
    assert small.train.batch_size == 3
    assert small.train.rates.base == 1e-5
    assert small.train.rates.weight_decay == plain.train.rates.weight_decay


def test_a_recipe_changes_its_base(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: shapes\nmodel: {mit_layers: 0}\ntiny: {train: {epochs: 1}}\n")
    mine, base = load_recipe(path), load_recipe("shapes")
    assert (mine.name, mine.model.mit_layers) == ("mine", 0)
    assert mine.train == base.train
    assert load_recipe(path, tiny=True).train.epochs == 1
    assert load_recipe(path, tiny=True).model.towers == load_recipe("shapes", tiny=True).model.towers


def test_a_base_of_another_kind_of_data_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "filmed.yaml"
    path.write_text("base: shapes\ndata: {kind: files, source: clips}\n")
    assert asdict(load_recipe(path).data)["source"] == "clips"


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("train.lr=1", "'train.lr' is unknown"),
        ("train.rates.bas=1", "did you mean 'base'?"),
        ("model.towers.widht=3", "did you mean 'width'?"),
        ("model.towers=B/8", "model.towers is the text 'B/8'; should be 'B/32', 'B/16', 'L/14' or 'L/14@336'"),
        ("train.rates.base='1e-4'", "train.rates.base is the text '1e-4'; should be a valid number"),
        ("train.rates.base=fast", "train.rates.base is the text 'fast'; should be a valid number"),
        ("train.batch_size=2.5", "train.batch_size is 2.5"),
        ("train.epochs=0", "train.epochs is 0; should be greater than or equal to 1"),
        ("train.warmup_epochs=99", "train.warmup_epochs is 99.0 of train.epochs"),
        ("train.average=epoch", "train.average is the text 'epoch'; should be 'epochs'"),
        ("train.average=1.5", "train.average is 1.5; should be less than or equal to 1"),
        ("train.interpolate={upto: 1}", "'train.interpolate.upto' is unknown; did you mean 'up_to'?"),
        ("train.learn=[sound]", "the text 'sound'; should be 'vision' or 'text'"),
        ("train.interpolate=true", "train.interpolate is true; should be an object, such as {}, with the entries that"),
        ("train.learn=vision", "train.learn is the text 'vision'; should be a list, such as [vision]"),
        ("data.clips=3", "'data.clips' is unknown"),
        ("data.kind=films", "'stills', 'clips', 'files'"),
        ("model.frames=8", "model.frames is 8 and the data are single frames; set it to 1"),
        ("train.epochs", "write it as train.epochs=10"),
        ("train.learn=[vision", "'train.learn=[vision' is not YAML (while parsing a flow sequence"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(override: str, complaint: str) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe("shapes-pretrain", [override])
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("data.shot=4", "did you mean 'shots'?"),
        ("data.shots=0", "data.shots is 0; should be greater than or equal to 1"),
        ("data.shots=two", "data.shots is the text 'two'; should be a valid integer"),
        ("data.sampling=sparce", "data.sampling is the text 'sparce'; should be 'sparse', 'dense' or 'time'"),
        ("data.template=ensembel", "data.template: the template 'ensembel' contains {} 0 times"),
        ("train.learn=vision", "train.learn is the text 'vision'; should be a list, such as [vision]"),
        ("model.image_encoder=21", "model.image_encoder is 21; should be a valid string"),
        ("model.mixing=both", "should be 'cross_frame', 'none' or 'joint'"),
    ],
)
def test_what_is_wrong_with_the_papers_switches_is_said_in_one_line(override: str, complaint: str) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe("hmdb51-few-shot", [override])
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("model: {}\ntrain: {epochs: 9, batch_size: 2}\n", "'data' is missing"),
        ("- 1\n", "holds no entries"),
        ("a: [\n", "is not YAML"),
        ("base: me.yaml\n", "is its own base"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "me.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=complaint) as error:
        load_recipe(path)
    assert "\n" not in str(error.value)


def test_unknown_recipes_are_named_with_the_nearest_one() -> None:
    with pytest.raises(RecipeError, match="did you mean 'shapes'"):
        load_recipe("shaped")
    with pytest.raises(RecipeError, match=r"missing\.yaml does not exist"):
        load_recipe("missing.yaml")


def test_the_authors_views_are_of_sparse_frames() -> None:
    assert load_recipe("k400", ["test.random_views=true"]).test.random_views
    for theirs in ("test.random_views=true", "data.tail=false"):
        with pytest.raises(RecipeError, match=r".* draws as .* no dense frames; leave it out"):
            load_recipe("k400", [theirs, "data.sampling=dense"])


@pytest.mark.parametrize("official", [False, True])
def test_recipes_of_old_runs_say_what_they_said(official: bool, tmp_path: Path) -> None:
    """`official` stood for all that is chosen by itself now."""
    path = tmp_path / "recipe.yaml"
    values = to_values(load_recipe("finetune", ["train.augment={}", "train.mix={}"]))
    del values["train"]["schedule"], values["data"]["tail"], values["test"]["random_views"]
    del values["train"]["augment"]["flicker"], values["train"]["augment"]["eight_bit"], values["train"]["mix"]["group"]
    values["train"]["official"] = values["test"]["official"] = official
    path.write_text(yaml.safe_dump(values))
    recipe = load_recipe(path)
    assert isinstance(recipe.data, FileData)
    assert recipe.train.augment == Augment(flicker=official, eight_bit=official)
    assert recipe.train.mix == Mixup()
    assert recipe.train.schedule == ("authors" if official else "smooth")
    assert (recipe.data.tail, recipe.test.random_views) == (not official, official)


def test_runs_that_stayed_near_their_initial_weights_go_on_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    values = to_values(load_recipe("finetune", ["train.interpolate={}", "train.distill={}"]))
    values["train"]["interpolate"], values["train"]["distill"] = {"up_to": 0.5, "weight": 0.5}, {"weight": 1.5}
    path.write_text(yaml.safe_dump(values))
    train = load_recipe(path).train  # of a run: every entry is there
    assert train.interpolate == Interpolate(up_to=0.5, gradient="chain")
    assert train.distill == Distill(weight=3.0, form="clip")
    written = load_recipe("finetune", ["train.interpolate={weight: 0.5}", "train.distill={weight: 1.5}"]).train
    assert written.interpolate == Interpolate(gradient="authors")
    assert written.distill == Distill(weight=1.5, form="authors")


def test_a_part_that_is_changed_in_code_is_checked_too() -> None:
    recipe = load_recipe("finetune")
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        replace(recipe.train, epochs=0)
    with pytest.raises(ValueError, match=r"warmup_epochs is 2\.0 of train\.epochs 1"):
        replace(recipe, train=replace(recipe.train, epochs=1))


def test_best_is_no_result_where_it_is_chosen_on_what_is_measured() -> None:
    assert load_recipe("hmdb51-few-shot").measured_where_chosen
    assert load_recipe("k400").measured_where_chosen
    assert load_recipe("finetune").measured_where_chosen  # on what it holds out
    assert not load_recipe("finetune", ["data.hold_out=0"]).measured_where_chosen
    assert not load_recipe("zero-shot").measured_where_chosen
    assert not load_recipe("shapes").measured_where_chosen


def test_values_that_json_cannot_hold_are_refused() -> None:
    with pytest.raises(RecipeError, match="not JSON serializable"):
        parse_recipe({"name": object()})


def test_pictures_are_changed_in_files_only() -> None:
    recipe = load_recipe("finetune", ["train.augment={flip: 0}", "train.mix={}"])
    assert recipe.train.augment is not None
    assert (recipe.train.augment.flip, recipe.train.augment.jitter) == (0, 0.8)
    for change in ("train.augment={}", "train.mix={}"):
        with pytest.raises(RecipeError, match="the data are drawn; set it to null"):
            load_recipe("shapes", [change])
    with pytest.raises(RecipeError, match=r"train\.mix: an alpha of 0\.0 for mixup is not possible"):
        load_recipe("finetune", ["train.mix.mixup=0"])
