"""Requests and answers as JSON, with the names of `classify --json`; for validation and for OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from crossframe.serve.settings import LABEL_LENGTH, RefusedError

Text = Annotated[str, StringConstraints(min_length=1, max_length=LABEL_LENGTH)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Later = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_BINARY = {"type": "string", "format": "binary"}
_VIDEO = "The video: a file in any format that FFmpeg reads."
_PATH = Field(None, max_length=4096, description="A video in one of the server's folders, instead of an upload.")
_START = Field(None, description="The second to begin at.")
_END = Field(None, description="The second to end before.")


class Asked(BaseModel):
    """The part of a request that every route reads."""

    model_config = ConfigDict(extra="forbid")
    lists: ClassVar[frozenset[str]] = frozenset()  # names that may be repeated in a query or a form

    path: str | None = _PATH
    start: Seconds | None = _START
    end: Later | None = _END

    @classmethod
    def read(cls, given: Mapping[str, Any], *, strict: bool = False) -> Self:
        """The request that these names and values make. Raises RefusedError, in one line, where they make none."""
        try:
            return cls.model_validate(given, strict=strict)
        except ValidationError as error:
            raise RefusedError(422, _in_words(error)) from error

    def joined(self, other: Self) -> Self:
        """Both, with the values of the other where both have some."""
        return self.model_copy(update={name: getattr(other, name) for name in other.model_fields_set})


class LabelsAsked(Asked):
    """Labels, and from where on they count."""

    lists = frozenset({"labels", "background"})

    labels: list[Text] | None = Field(
        None,
        min_length=1,
        description="What the video may show, in your own words; the server's own labels if not given.",
        examples=[["a red circle is pulsing", "a blue square is moving left"]],
    )
    background: list[Text] = Field([], description="Words for what is none of the labels, or `generic`.")
    threshold: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, description="The score below which the answer is none of the labels."
    )


class ClassifyAsked(LabelsAsked):
    """How much of the answer is wanted."""

    top: int = Field(5, ge=1, le=1 << 31, description="How many labels to return, best first.")
    pictures: bool = Field(False, description="Also return pictures of the frames that were seen, as data URIs.")


class ExplainAsked(ClassifyAsked):
    """The label whose reasons are asked for."""

    label: Text | None = Field(None, description="The label to explain; the best one if not given.")


class TimelineAsked(LabelsAsked):
    """Where windows lie."""

    window: Later | None = Field(None, description="Seconds that a window lasts; as in training if not given.")
    stride: Later | None = Field(None, description="Seconds from one window to the next; a quarter of a window.")
    multi: bool = Field(False, description="Labels may be shown at once.")


class EmbedAsked(Asked):
    """Texts that are embedded too."""

    lists = frozenset({"texts"})

    texts: list[Text] = Field([], description="Texts to embed, beside a video or instead of one.")


class SearchAsked(Asked):
    """Words, and how much of the answer is wanted; a video is one that clips should be like."""

    words: Text | None = Field(None, description="What happens in the clips.", examples=["a red circle is pulsing"])
    top: int = Field(20, ge=1, le=200, description="How many clips to return, best first.")
    pictures: bool = Field(False, description="Also return pictures of the frames that were seen, as data URIs.")


class _Answer(BaseModel):
    """The part of an answer that says what produced it."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str = Field(description="The model that was asked for when the server started.")
    weights: str = Field(description="A hash of the model's weights.")
    template: str | list[str] | None
    precision: str
    descriptions: str | None


class Label(BaseModel):
    label: str
    score: float
    similarity: float | None = Field(description="The cosine of video and label; none for a model with a linear head.")
    group: str | None = None


class FramesSeen(BaseModel):
    indices: list[int] = Field(description="Which frames of the video were seen, from 0.")
    times: list[float | None] = Field(description="Seconds on the file's own clock.")
    total: int
    damaged: int


class OfVideo(_Answer):
    video: str = Field(description="The name of the upload, or the path.")
    start: float | None = None
    end: float | None = None
    frames: FramesSeen
    warnings: list[str] | None = Field(None, description="What is wrong with a file that could be read all the same.")


class Classified(OfVideo):
    """One video, named: the object that `crossframe classify --json` prints."""

    predictions: list[Label]
    accepted: list[str] = Field(description="The labels that count, best first.")
    none: bool = Field(description="True if the answer is none of the labels.")
    pictures: list[str] | None = None


class Explained(Classified):
    """Why a label has its score: what `crossframe explain --json` prints."""

    explained: dict[str, Any] = Field(
        description="`label`, `score`; of `frames` their `share` of the answer, `attention`, and score `without` them; "
        "`places`, the share of each patch; `view`, the part of a frame that is seen; `messages` between frames."
    )
    maps: list[str] | None = Field(None, description="Frames in gray under a map of the places, with `pictures`.")


class LabelSpan(BaseModel):
    label: str
    start: float
    end: float
    score: float


class Stretch(BaseModel):
    start: float
    end: float


class WindowScores(Stretch):
    scores: list[float] = Field(description="One of each label, in their order.")


class TimelineFound(_Answer):
    """Segments, as in the object that `crossframe timeline --json` prints, and the windows that they come from."""

    video: str
    start: float | None = None
    end: float | None = None
    labels: list[str]
    segments: list[LabelSpan] = Field(description="Which label is shown from when to when, in order of time.")
    damaged: list[Stretch]
    gaps: list[Stretch] = Field(description="Where no frame is shown.")
    begins: float | None = Field(None, description="Seconds of the file before its video, which players count too.")
    windows: list[WindowScores]
    window: float = Field(description="Seconds that a window lasts.")
    stride: float
    warnings: list[str] | None = None


class Found(BaseModel):
    video: str
    start: float | None = None
    end: float | None = None
    similarity: float
    reranked: bool = Field(description="True if it is the whole model's, which looks at the video with the words.")
    label: str | None = None
    score: float | None = None
    frames: list[int] | None = None
    error: str | None = None
    pictures: list[str] | None = None


class Hits(_Answer):
    """Clips of the index, best first: objects as `crossframe search --json` prints them."""

    hits: list[Found]


class TextVector(BaseModel):
    text: str
    vector: list[float]


class Embedded(_Answer):
    """Vectors of unit length, which can be compared by their dot products."""

    video: str | None = None
    start: float | None = None
    end: float | None = None
    vector: list[float] | None = None
    frames: FramesSeen | None = None
    warnings: list[str] | None = None
    texts: list[TextVector] | None = None


class Problem(BaseModel):
    """Why there is no answer."""

    error: str = Field(description="One line that names the value and the remedy.")


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": why}
    for status, why in {
        400: "The body cannot be parsed.",
        401: "The token is missing or wrong.",
        403: "The path lies outside the server's folders.",
        404: "There is no such file.",
        408: "The body took too long to arrive.",
        413: "The body is too large.",
        415: "The body is of a type that is not read.",
        421: "The server does not go by that name.",
        422: "A value makes no sense, or the video cannot be read.",
        503: "Too many requests wait; `Retry-After` says when to come back.",
        504: "There was no answer in time.",
    }.items()
}


def operation(asked: type[Asked], example: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an operation's OpenAPI that says how it is asked: by a form, by JSON, or by the bytes of a video
    with all else in the query."""
    whole = asked.model_json_schema(ref_template="#/components/schemas/{model}")
    properties: dict[str, Any] = whole["properties"]
    video = {"video": _BINARY | {"description": _VIDEO}}
    closed = {"type": "object", "additionalProperties": False}
    said = {name: schema for name, schema in properties.items() if name != "path"}
    by_path = [] if properties.keys() & {"texts", "words"} else ["path"]
    form = closed | {"properties": video | {name: _not_null(schema) for name, schema in said.items()}}
    either = {"required": ["video"]} if by_path else {}
    as_json = closed | {"properties": properties | {name: _not_null(properties[name]) for name in by_path}}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form | either},
                "application/json": {"schema": as_json | {"required": by_path}, "example": example},
                "video/*": {"schema": _BINARY},
            },
        },
        "parameters": [
            {
                "name": name,
                "in": "query",
                "description": f"{schema.get('description', '')} For bodies that are a video.".strip(),
                "schema": _not_null(schema),
            }
            for name, schema in said.items()
        ],
    }


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Without null, which no query and no form can say; leaving a value out says it."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default", "title")}
    return {**(kinds[0] if kinds else {}), **rest}


def _in_words(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    given = repr(first["input"])
    shown = given if len(given) <= 60 else f"{given[:57]}..."
    match first["type"]:
        case "extra_forbidden":
            return f"{where} is no name of this request; see /openapi.json"
        case "missing":
            return f"{where} is missing"
        case _:
            return f"{where} is {shown}: {first['msg'][0].lower()}{first['msg'][1:]}"
