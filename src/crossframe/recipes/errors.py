"""What is wrong with a recipe, in one line."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from crossframe.recipes.schema import Recipe


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the entry, its value and the remedy."""


def explain(error: ValidationError) -> str:
    """The first thing wrong with a recipe, in one line."""
    # For an entry that may be a name or a section, report what fits the kind of value given.
    details = error.errors()
    likely = [detail for detail in details if detail["type"] != "literal_error" or isinstance(detail["input"], str)]
    detail = (likely or details)[0]
    place = [str(part) for part in detail["loc"]]
    model, place = _walk(place)
    path = ".".join(place)
    match detail["type"]:
        case "extra_forbidden":
            near = get_close_matches(place[-1], list(model.model_fields), n=1, cutoff=0.5)
            known = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(model.model_fields)}"
            return f"'{path}' is unknown; {known}"
        case "missing":
            return f"'{path}' is missing"
        case "value_error":
            said = str(detail["ctx"]["error"]) if "ctx" in detail else detail["msg"]
            return f"{path}: {said}" if path else said
        case "tuple_type":
            return f"{path} is {_shown(detail)}; should be a list, such as [{detail['input']}]"
        case _:
            return f"{path} is {_shown(detail)}; {detail['msg'].removeprefix('Input ')}"


def _shown(detail: ErrorDetails) -> str:
    given = detail["input"]
    return f"the text '{given}'" if isinstance(given, str) else json.dumps(given)


def _walk(place: list[str]) -> tuple[type[BaseModel], list[str]]:
    """The section that holds the entry at `place`, and the place without pydantic's names for choices."""
    model: type[BaseModel] = Recipe
    path: list[str] = []
    kind: str | None = None
    for part in place:
        options = _sections(model.model_fields[path[-1]].annotation) if path and path[-1] in model.model_fields else []
        named = {option.__name__: option for option in options}
        tags = {
            str(get_args(option.model_fields["kind"].annotation)[0]): option
            for option in options
            if "kind" in option.model_fields
        }
        if part in named or part in tags or part.startswith(("literal[", "constrained-")):
            kind = part
            model = {**named, **tags}.get(part, model)
            continue
        if kind is None and len(options) == 1:
            model = options[0]
        kind = None
        path.append(part)
    return model, path


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections among the choices of an entry's type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for option in get_args(annotation) for section in _sections(option)]
