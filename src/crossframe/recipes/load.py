"""From a name or a file to a checked recipe.

A file may name another recipe as its `base`, whose entries it overrides. Its section `tiny` holds overrides for a run
of seconds, which tests use. Last come overrides in the form `train.rates.base=1e-4`. What is wrong is said in one line.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from crossframe.recipes.schema import FileData, Recipe, Train
from crossframe.text.reading import read_text

log = logging.getLogger(__name__)

RECIPE = "recipe.yaml"  # in the folder of a run, and of a checkpoint: what it was made by

Values = dict[str, Any]

_RECIPES = TypeAdapter(Recipe)


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the entry, its value and the remedy."""


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-4 is a number, as everybody expects."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+"), list("-+.0123456789")
)


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in files("crossframe.recipes").iterdir()
        if entry.name.endswith(".yaml")
    )


def describe(name: str) -> tuple[str, str]:
    """The command that runs a recipe of the package, and its purpose, from the comment at its top."""
    text = files("crossframe.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    comments = [line.removeprefix("#").strip() for line in takewhile(lambda line: line[:1] == "#", text.splitlines())]
    return comments[0], " ".join(filter(None, comments[1:]))


def load_recipe(source: str | Path, overrides: Iterable[str] = (), *, tiny: bool = False) -> Recipe:
    """The recipe of this name, or in this file, with `overrides` such as "train.rates.base=1e-4".

    Raises `RecipeError`, one line, for unknown recipes and entries and for values of the wrong type.
    """
    values, small = _read(source)
    if tiny:
        if not small:
            raise RecipeError(f"recipe '{source}' has no section 'tiny'; add one, or leave --tiny out")
        values = _merge(values, small)
    written = values.get("train", {})
    for override in overrides:
        values = _merge(values, _parse(override))
    _shrink_warm_up(values.get("train", {}), written)
    values.setdefault("name", Path(source).stem)
    return parse_recipe(values, where=str(source))


def _shrink_warm_up(train: Any, written: Any) -> None:
    """Give a warm-up that does not fit into a shorter training the share that it has of the one that was `written`."""
    try:
        epochs, before = train["epochs"], written["epochs"]
        warmup = written.get("warmup_epochs", Train.warmup_epochs)
        fits = train.get("warmup_epochs", Train.warmup_epochs) != warmup or warmup < epochs or not 0 < epochs < before
    except (AttributeError, KeyError, TypeError):  # what is wrong is said when all of it is checked
        return
    if not fits:
        train["warmup_epochs"] = round(warmup * epochs / before, 6)
        log.warning("the warm-up shrinks with train.epochs, from %g epochs to %.2g", warmup, train["warmup_epochs"])


def longer(recipe: Recipe, epochs: int | None) -> Recipe:
    """The recipe of a run that is to go on beyond its last epoch, and what that means, told; or the same one."""
    before = recipe.train.epochs
    if epochs is None or epochs <= before:
        return recipe
    log.warning(
        "goes on to %d epochs instead of %d: the learning rates from here on are those of a run of %d, which are "
        "higher again than the last ones were, so the result is not that of such a run from its start",
        epochs,
        before,
        epochs,
    )
    return replace(recipe, train=replace(recipe.train, epochs=epochs))


def with_sources(recipe: Recipe, init: str | Path | None, data: str | Path | None) -> Recipe:
    """The recipe with other initial weights and other clips, where they are given."""
    changes: Values = {}
    if init is not None:
        changes["init"] = str(init)
    if data is not None:
        if not isinstance(recipe.data, FileData):
            raise ValueError(f"recipe '{recipe.name}' draws its own data; leave out {data}")
        changes["data"] = replace(recipe.data, source=str(data))
    return replace(recipe, **changes)


def given_entries(source: str | Path, overrides: Iterable[str] = (), *, tiny: bool = False) -> list[str]:
    """The entries that `load_recipe` would change in the recipe, such as "train.epochs"."""
    small = _paths(_read(source)[1]) if tiny else []
    return [*small, *(override.partition("=")[0].strip() for override in overrides)]


def check_unchanged(started: Recipe, asked: Recipe, entries: Iterable[str]) -> None:
    """Refuse to resume a run with other settings than it was `started` with.

    Raises `RecipeError` where the recipe has another name, or one of `entries` another value.
    """
    if started.name != asked.name:
        raise RecipeError(
            f"this run was started with recipe '{started.name}', not '{asked.name}'; name that one to go on, or give "
            "another folder for a new run"
        )
    before, after = to_values(started), to_values(asked)
    for entry in entries:
        old, new = _value(before, entry), _value(after, entry)
        if old != new:
            raise RecipeError(
                f"this run was started with {entry}={json.dumps(old)}, not {json.dumps(new)}; leave that out to go on, "
                "or give another folder for a new run"
            )


def _paths(values: Values) -> list[str]:
    """The entries below sections, by their paths."""
    return [
        path
        for key, value in values.items()
        for path in ([f"{key}.{below}" for below in _paths(value)] if isinstance(value, dict) else [key])
    ]


def _value(values: Values, path: str) -> Any:
    found: Any = values
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def parse_recipe(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from plain values, checked."""
    try:
        # JSON has lists where the schema has tuples, and is strict about everything else
        return _RECIPES.validate_json(json.dumps(_migrated(values)))
    except ValidationError as error:
        raise RecipeError(f"{where}: {_explain(error)}") from None
    except TypeError as error:
        raise RecipeError(f"{where}: {error}") from None


def _migrated(values: Mapping[str, Any]) -> Values:
    """The entries under today's names: `official` was one switch for what are choices of their own now, and each way to
    stay near the initial weights had one form."""
    values = {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}
    sections: list[Any] = [values.get(name) for name in ("train", "data", "test")]
    train, data, test = (section if isinstance(section, dict) else {} for section in sections)
    if train.pop("official", False) is True:
        train["schedule"] = "authors"
        if isinstance(train.get("augment"), dict):
            train["augment"] = {**train["augment"], "flicker": True, "eight_bit": True}
        if data.get("kind") == "files" and data.get("sampling", "sparse") == "sparse":
            data["tail"] = False
    if test.pop("official", False) is True:
        test["random_views"] = True
    if {"threads", "strategy", "save_every"} <= train.keys():  # of a run, which writes every entry: it stays that run
        near, like = train.get("interpolate"), train.get("distill")
        if isinstance(near, dict) and "gradient" not in near:
            train["interpolate"] = {**near, "gradient": "chain"}
        if isinstance(like, dict) and "form" not in like:  # the squared distance of unit vectors is 2 (1 - cosine)
            train["distill"] = {"weight": 2 * like.get("weight", 1.0), "form": "clip"}
    return values


def to_values(recipe: Recipe) -> Values:
    """The recipe as plain values, every entry, which `parse_recipe` reads back."""
    return _RECIPES.dump_python(recipe, mode="json")


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML with every entry, which `load_recipe` reads back."""
    return yaml.safe_dump(to_values(recipe), sort_keys=False)


def _read(source: str | Path, seen: tuple[str, ...] = ()) -> tuple[Values, Values]:
    """The entries of a recipe and those of its section `tiny`, with the base's under them."""
    if str(source) in seen:
        raise RecipeError(f"recipe '{source}' is its own base; name another one")
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise RecipeError(f"recipe file {path} does not exist")
        text = read_text(path)
    elif str(source) in recipe_names():
        text = files("crossframe.recipes").joinpath(f"{source}.yaml").read_text(encoding="utf-8")
    else:
        raise unknown(str(source))
    values = _mapping(text, str(source))
    small = values.pop("tiny", None) or {}
    base = values.pop("base", None)
    if base is None:
        return values, small
    base = str(path.parent / base) if path.suffix and str(base).endswith((".yaml", ".yml")) else base
    base_values, base_small = _read(base, (*seen, str(source)))
    return _merge(base_values, values), _merge(base_small, small)


def unknown(name: str) -> RecipeError:
    """The error for a name that no recipe has."""
    near = get_close_matches(name, recipe_names(), n=1)
    guess = f"; did you mean '{near[0]}'?" if near else f"; there are {', '.join(recipe_names())}"
    return RecipeError(f"there is no recipe '{name}'{guess}")


def _mapping(text: str, where: str) -> Values:
    try:
        values = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{where} holds no entries; a recipe is a YAML mapping")
    return values


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> Values:
    """Entries of `over` in place of those of `under`, section by section; another `kind` replaces a section."""
    merged = dict(under)
    for key, value in over.items():
        below: Any = merged.get(key)
        sections = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = _merge(below, value) if sections and value.get("kind") in (None, below.get("kind")) else value
    return merged


def _parse(override: str) -> Values:
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise RecipeError(f"'{override}' sets nothing; write it as train.epochs=10")
    try:
        value: Any = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise RecipeError(f"'{override}' is not YAML ({said}); check brackets and quotes") from None
    for key in reversed(path.strip().split(".")):
        value = {key: value}
    return value


def _explain(error: ValidationError) -> str:
    """The first thing wrong with a recipe, in one line."""
    # For an entry that may be a name or a section, report what fits the kind of value given.
    details = error.errors()
    likely = [detail for detail in details if detail["type"] != "literal_error" or isinstance(detail["input"], str)]
    detail = (likely or details)[0]
    section, place = _walk([str(part) for part in detail["loc"]])
    path = ".".join(place)
    match detail["type"]:
        case "unexpected_keyword_argument":
            known = [field.name for field in fields(section)]
            near = get_close_matches(place[-1], known, n=1, cutoff=0.5)
            advice = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
            return f"'{path}' is unknown; {advice}"
        case "missing":
            return f"'{path}' is missing"
        case "value_error":
            said = str(detail["ctx"]["error"]) if "ctx" in detail else detail["msg"]
            return f"{path}: {said}" if path else said
        case "tuple_type":
            return f"{path} is {_shown(detail)}; should be a list, such as [{detail['input']}]"
        case "dataclass_type":
            return f"{path} is {_shown(detail)}; should be an object, such as {{}}, with the entries that differ"
        case _:
            return f"{path} is {_shown(detail)}; {detail['msg'].removeprefix('Input ')}"


def _shown(detail: ErrorDetails) -> str:
    given = detail["input"]
    return f"the text '{given}'" if isinstance(given, str) else json.dumps(given)


def _walk(place: list[str]) -> tuple[Any, list[str]]:
    """The section that holds the entry at `place`, and the place without pydantic's names for choices."""
    section: Any = Recipe
    path: list[str] = []
    chosen = False  # whether pydantic has said which of several sections it is
    for part in place:
        hints = get_type_hints(section)
        options = _sections(hints[path[-1]]) if path and path[-1] in hints else []
        named = {option.__name__: option for option in options}
        tags = {get_args(kind)[0]: option for option in options if (kind := get_type_hints(option).get("kind"))}
        if part in named or part in tags or part.startswith(("literal[", "constrained-")):
            section, chosen = {**named, **tags}.get(part, section), True
            continue
        if not chosen and len(options) == 1:
            section = options[0]
        chosen = False
        path.append(part)
    return section, path


def _sections(hint: Any) -> list[Any]:
    """The sections among the choices of an entry's type."""
    if isinstance(hint, type) and is_dataclass(hint):
        return [hint]
    return [section for option in get_args(hint) for section in _sections(option)]
