"""Finds the model's tensors among all that a file holds, and says what becomes of the others.

Every tensor has a path: the keys under which it lies, joined by dots, `model.module.visual.proj`. A layout's sign at
the end of a path tells where a state dict is: whatever stands before it, the key of the dict as well as `module.`, is
its place. So no list of keys and prefixes is needed.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from crossframe.weights.convert import belongs
from crossframe.weights.errors import WeightsError, shorten
from crossframe.weights.pickles import Foreign, StoredTensor
from crossframe.weights.tables import RELATIVES, Layout

log = logging.getLogger(__name__)

_LONGEST_PATH = 300  # letters; deeper nests hold no weights
_MOST_PLACES = 20

# What PyTorch puts between names: around compiled, divided and recomputed modules, and where a whole module has parts.
_BETWEEN = re.compile(
    r"(?:^|(?<=\.))_(?:orig_mod|fsdp_wrapped_module|checkpoint_wrapped_module|modules|parameters|buffers)(?:\.|$)"
)
_TRAINING = re.compile(
    r"(?:^|\.)(?:\w*optim\w*|\w*sched\w*|\w*scaler\w*|\w*rng\w*|\w*random\w*|amp|callbacks|loops|n_averaged)(?:\.|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A state dict: its layout, its place in the file, and the path of each tensor by its name in the layout."""

    layout: Layout
    place: str
    paths: dict[str, str]


def paths_in(content: object) -> Generator[tuple[str, StoredTensor]]:
    """All tensors of what `read_pickle` gave, with their paths, those of the upper levels first.

    What stands in several places is looked at once, so that time follows the length of the pickle.
    """
    seen: set[int] = set()
    waiting: deque[tuple[str, object]] = deque([("", content)])
    while waiting:
        path, value = waiting.popleft()
        if isinstance(value, StoredTensor):
            yield path, value
        elif len(path) < _LONGEST_PATH and id(value) not in seen:
            seen.add(id(value))
            for key, inner in _inside(value):
                if isinstance(inner, (dict, list, tuple, StoredTensor)):
                    name = plain_name(str(key) if isinstance(key, (str, int)) else "?")
                    waiting.append((f"{path}.{name}" if path and name else path or name, inner))


def plain_name(name: str) -> str:
    """A name without what PyTorch puts into it beside those of modules."""
    return _BETWEEN.sub("", name)


def _inside(value: object) -> Iterable[tuple[object, object]]:
    """The content of a container, by key; what a foreign object was made of stands in its own place."""
    if isinstance(value, Foreign):
        return (("", part) for part in value)
    if isinstance(value, dict):
        return cast("dict[object, object]", value).items()
    parts = cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else ()
    if all(isinstance(part, list) and len(part) == 2 and isinstance(part[0], str) for part in parts):
        return parts  # entries of an ordered dict, as Python 2 wrote them
    return enumerate(parts)


def is_training_state(path: str) -> bool:
    """True for the path of a tensor that an optimizer, a scheduler or a random generator keeps."""
    return _TRAINING.search(path) is not None


def recognize(tensors: Iterable[str], layouts: Iterable[Layout]) -> Layout | None:
    """The layout of the first state dict among the paths of tensors, None if there is none."""
    return next((found.layout for found in _all(list(tensors), tuple(layouts))), None)


def find(tensors: Iterable[str], layouts: Iterable[Layout], wanted: str | None = None) -> Found | None:
    """The state dict of one of the layouts among the paths of tensors: the most complete, of equals the first.

    `wanted` is the place of another, or where it starts. Says which was taken where there are several, and which
    tensors are left. Raises `WeightsError` when there is none at the place wanted.
    """
    paths = list(tensors)
    found = _all(paths, tuple(layouts))
    found.sort(key=lambda one: -sum(belongs(name, one.layout) for name in one.paths))  # keeps the order of equals
    chosen = [one for one in found if wanted is None or f"{one.place}.".startswith(f"{wanted}.")]
    if not chosen:
        if wanted is None:
            return None
        known = ", ".join(f"#{one.place}" for one in found if one.place)
        raise WeightsError(f"has no weights at #{wanted}" + (f"; there are some at {known}" if known else ""))
    best = chosen[0]
    if wanted is None and len(found) > 1:
        others = " or ".join(f"#{one.place}" for one in found[1:])
        place = f"#{best.place}" if best.place else "the top"
        log.warning("several sets of weights: took those at %s; for another, add %s to the name", place, others)
    taken = {path for one in found for path in one.paths.values()}
    if left := [path for path in paths if path not in taken and not is_training_state(path)]:
        log.warning("left aside, as no part of the model: %s", shorten(left))
    return best


def _all(paths: Sequence[str], layouts: Sequence[Layout]) -> list[Found]:
    """Every state dict of the layouts, in the order of the paths."""
    ranks: dict[str, int] = {}
    for path in paths:
        for rank, layout in enumerate(layouts):
            before = path.removesuffix(layout.sign)
            if before != path and (not before or before.endswith(".")) and len(ranks) < _MOST_PLACES:
                ranks[before] = min(rank, ranks.get(before, rank))
    result: list[Found] = []
    for place, rank in ranks.items():
        layout = layouts[rank]
        deeper = [other for other in ranks if other != place and other.startswith(place)]
        own = {path[len(place) :]: path for path in paths if path.startswith(place)}
        names = {
            name: path
            for name, path in own.items()
            if not any(map(path.startswith, deeper)) and (belongs(name, layout) or not is_training_state(name))
        }
        result.append(Found(layout, place.rstrip("."), names))
    return result


def check_relatives(paths: Iterable[str], *, named: bool) -> None:
    """Says of a file that it is of another model whose names resemble those known here.

    `named`: the place of the weights was given; then those of a CLIP with something beside it may pass. Raises
    `WeightsError` unless they may.
    """
    known = list(paths)
    for relative in RELATIVES:
        if not all(any(map(re.compile(sign).search, known)) for sign in relative.signs):
            continue
        if relative.verdict == "refused" or (relative.verdict == "refused unless named" and not named):
            raise WeightsError(f"{relative.what}: {relative.remedy}")
        log.warning("taken as a plain CLIP, and it may be another: %s", relative.what)
