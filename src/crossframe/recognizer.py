"""Videos and words in, names out: the API a person uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, TypeVar, cast, overload

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import crossframe
from crossframe.answers import Question, Scoring, as_vector, stack
from crossframe.explain.explain import Explanation, explain
from crossframe.inference import ROUNDED, Inference, Precision, check_head, choose_precision
from crossframe.model.xclip import XCLIP, VideoFeatures
from crossframe.prediction import Embedding, Prediction
from crossframe.processes import cores
from crossframe.taught import FrameRule
from crossframe.text.labels import PLACE, Descriptions, LabelSet, wordings
from crossframe.timeline.stream import Stream
from crossframe.timeline.windows import Grid, read_windows
from crossframe.video.decode import Frames, Picture, Pictures, VideoSource, decode_many, scaled_down, timed_frames
from crossframe.video.given import File, Readable, Video, VideoError, limits_here
from crossframe.weights import load

R = TypeVar("R")
Labels: TypeAlias = Sequence[str] | LabelSet

One: TypeAlias = File | Readable | Video | Frames | Pictures | Sequence[Picture]
Several: TypeAlias = Sequence[VideoSource] | Iterator[VideoSource]
ONE_VIDEO = (str, os.PathLike, bytes, bytearray, memoryview, Video, Frames, np.ndarray, Tensor)


class Recognizer:
    """A model, a precision and a number of frames; caches the features of recent labels.

    `precision` is that of the image encoder, which takes most of the time. float32 gives the results of the model
    itself; `auto`, the default of `from_pretrained`, is bfloat16 where the device is fast at it or the weights are
    rounded already. The recognizer works on copies of the weights: after training the model further, or registering
    hooks on it, make another recognizer.

    `template`, for instance "a video of {}", is put around every label; of several, such as
    `crossframe.text.ENSEMBLE`, the features are averaged (the paper's ensemble of templates).
    `descriptions` are sentences that stand for each label in its place, averaged too. Both, the labels and how frames
    are drawn are those of the model's training where its checkpoint knows them and nothing else is given.
    `workers` processes decode videos while the model computes: by default one on a CPU, and up to eight on a GPU.
    `batch_size` clips are computed together (by default one on a CPU, and eight on a GPU), and one video may take
    `timeout` seconds to be read; both may be set at any time. So may `sampling`, which frames are looked at
    and `stream`, of several in a file (see `crossframe.read_video`).
    """

    def __init__(
        self,
        model: XCLIP,
        *,
        num_frames: int | None = None,
        precision: Precision | Literal["auto"] = "float32",
        template: str | Sequence[str] | None = None,
        descriptions: Descriptions | None = None,
        workers: int | None = None,
    ) -> None:
        if not isinstance(model, XCLIP):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is checked
            raise ValueError(f"{model!r} is no model; give crossframe.load(...), or use Recognizer.from_pretrained")
        self.num_frames = model.config.num_frames if num_frames is None else num_frames
        if self.num_frames < 1:
            raise ValueError(f"{self.num_frames} frames were asked for; a clip has at least one")
        if precision == "auto" and any(parameter.dtype in ROUNDED for parameter in model.parameters()):
            precision = "bfloat16"
        self._inference = Inference(model.eval(), choose_precision(precision, model.device))
        self._as_taught = template is None and descriptions is None
        given = model.taught.template if self._as_taught else template
        self.template = PLACE if given is None else given
        self.descriptions = descriptions
        self.workers = _default_workers(model.device) if workers is None else workers
        # A CPU is as fast on one clip as on many, and the first result comes sooner.
        self.batch_size = 1 if model.device.type == "cpu" else 8
        self.timeout = limits_here().seconds
        self.sampling: FrameRule | None = None
        self.stream: int | None = None

    @property
    def model(self) -> XCLIP:
        """The model given."""
        return self._inference.model

    @property
    def precision(self) -> Precision:
        """The precision of the image encoder."""
        return self._inference.precision

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path = crossframe.DEFAULT_MODEL,
        *,
        device: str | torch.device | None = None,
        precision: Precision | Literal["auto"] = "auto",
        num_frames: int | None = None,
        template: str | Sequence[str] | None = None,
        descriptions: Descriptions | None = None,
        workers: int | None = None,
    ) -> Self:
        """Load `source` (see `crossframe.load`) into a recognizer; by default what the command line takes, too."""
        model = load(source, device=device)
        return cls(
            model,
            precision=precision,
            num_frames=num_frames,
            template=template,
            descriptions=descriptions,
            workers=workers,
        )

    @overload
    def classify(
        self,
        videos: One,
        labels: Labels | None = None,
        *,
        background: str | Sequence[str] = (),
        threshold: float | None = None,
        keep_pixels: bool = False,
    ) -> Prediction: ...
    @overload
    def classify(
        self,
        videos: Several,
        labels: Labels | None = None,
        *,
        background: str | Sequence[str] = (),
        threshold: float | None = None,
        keep_pixels: bool = False,
    ) -> list[Prediction]: ...
    def classify(
        self,
        videos: One | Several,
        labels: Labels | None = None,
        *,
        background: str | Sequence[str] = (),
        threshold: float | None = None,
        keep_pixels: bool = False,
    ) -> Prediction | list[Prediction]:
        """Score `labels` for each video, by default `model.labels`. One video gives one prediction, several a list.

        A video is whatever `crossframe.read_video` reads: a path or an address, the bytes of a file or an open one, a
        part of one (`crossframe.Video`), frames. A list is of videos, unless it is of images (H, W, 3), which are one.
        `background` words, "generic" for `crossframe.text.GENERIC`, take the share of what is none of the labels. A
        best label whose score is below `threshold` is not accepted: `prediction.none`. A `crossframe.text.LabelSet` has
        a background and thresholds of its own. Predictions say which frames were seen; `keep_pixels` also keeps those,
        some 2 MB a clip.
        Raises `ValueError` for labels that are empty, read the same to the model or are not those of its linear head,
        and its subclass `VideoError` at the first file that cannot be read; `classify_each` goes on instead.
        """
        one = _is_one(videos) or _are_pictures(videos)
        results = self.classify_each(
            [cast("VideoSource", videos)] if one else cast("Several", videos),
            labels,
            background=background,
            threshold=threshold,
            keep_pixels=keep_pixels,
        )
        return _or_raise(next(results)) if one else [_or_raise(result) for result in results]

    def classify_each(
        self,
        videos: Iterable[VideoSource],
        labels: Labels | None = None,
        *,
        background: str | Sequence[str] = (),
        threshold: float | None = None,
        keep_pixels: bool = False,
    ) -> Iterator[Prediction | VideoError]:
        """Predictions in the order of `videos`, as they come; a file that cannot be read gives its error instead.

        The next videos are decoded while the model works; memory does not grow with their number.
        """
        question = self.question(labels, background=background, threshold=threshold)
        yield from self._answers(self._decoded(videos), question, keep_pixels=keep_pixels)

    def timeline(
        self,
        video: File | Readable | Video,
        labels: Labels | None = None,
        *,
        window: float | None = None,
        stride: float | None = None,
        background: str | Sequence[str] = (),
        threshold: float | None = None,
        keep_pixels: bool = False,
    ) -> Iterator[Prediction]:
        """Score `labels` in overlapping windows of a video, of any length, as they come: one pass over the file.

        Each prediction is the one that `classify(crossframe.Video(video, start, end), labels)` gives for the same
        stretch: `frames.start` and `frames.end` are its seconds after the first frame. Windows are `window` seconds
        long, by default as long as the stretches that the model was trained on, or a quarter of a second for each of
        its frames, and begin every `stride` seconds, by default a quarter of a window. The last one ends with the
        video; of a shorter video there is one window. One in which no frame is shown is left out.

        Memory holds the frames that windows to come want. `timeout` are the seconds that the next window may take.
        Raises `ValueError` as `classify` does, and `VideoError` where the video cannot be read, once it is found.
        """
        question = self.question(labels, background=background, threshold=threshold)
        if isinstance(video, (Frames, np.ndarray, Tensor, list, tuple)):
            raise ValueError("a timeline is of a file; for frames in memory use classify_frames(frames, times)")
        grid = Grid.of(window, stride, self.num_frames, self.model.taught)
        windows = read_windows(video, grid, self.num_frames, timeout=self.timeout, **self.view)
        clips = (clip for clip in windows if isinstance(clip, Frames))
        return (_or_raise(result) for result in self._answers(clips, question, keep_pixels=keep_pixels))

    def classify_frames(
        self,
        frames: Pictures | Sequence[Picture],
        times: Sequence[float],
        labels: Labels | None = None,
        *,
        background: str | Sequence[str] = (),
        threshold: float | None = None,
        keep_pixels: bool = False,
    ) -> Prediction:
        """Score `labels` for frames that are in memory already, uint8 (N, 3, H, W) or (N, H, W, 3), or pictures.

        `times` (N,) are rising seconds. Of the N, as many are looked at as the model wants, by the rule that `classify`
        has; `frames.times` of the prediction says which. Raises `ValueError` as `classify` does.
        """
        given = timed_frames(frames, times, self.num_frames, self.view["sampling"], self.view["short_side"])
        question = self.question(labels, background=background, threshold=threshold)
        return _or_raise(next(self._answers([given], question, keep_pixels=keep_pixels)))

    def open_stream(
        self,
        labels: Labels | None = None,
        *,
        window: float | None = None,
        stride: float | None = None,
        background: str | Sequence[str] = (),
        threshold: float | None = None,
        multi: bool = False,
        name: str = "<stream>",
    ) -> Stream:
        """Video without an end: `stream.push(picture, time)` returns the segments that a frame closes.

        Windows are those of `timeline`, their frames at even times. Nothing runs in the background, and memory is
        bounded. Raises `ValueError` as `classify` does.
        """
        question = self.question(labels, background=background, threshold=threshold)

        def answer(frames: Frames) -> Prediction:
            seen = scaled_down(frames, self.view["short_side"])
            return _or_raise(next(self._answers([seen], question, keep_pixels=False)))

        grid = Grid.of(window, stride, self.num_frames, self.model.taught)
        grid.check_whole()
        return Stream(answer, question.scoring.labels, grid, self.num_frames, multi=multi, name=name)

    def question(
        self,
        labels: Labels | None = None,
        *,
        background: str | Sequence[str] = (),
        threshold: float | None = None,
    ) -> Question:
        """Labels as `classify` takes them, checked and encoded, for videos that are encoded by themselves."""
        scoring = self._scoring(labels, background, threshold)
        return Question(self._inference, scoring, self._label_features(scoring.labels))

    def encode(self, clips: Sequence[Frames]) -> VideoFeatures:
        """The features of B clips, of any sizes, computed together."""
        return self._inference.encode([frames.pixels for frames in clips])

    @property
    def view(self) -> dict[str, Any]:
        """Which frames are read of a file, and at what size: options of `crossframe.video.decode.read_video`."""
        return {
            "sampling": self.sampling or self.model.taught.sampling,
            "stream": self.stream,
            "short_side": self.model.preprocess.short_side,
        }

    def explain(
        self,
        video: One,
        labels: Labels | None = None,
        *,
        label: str | None = None,
        background: str | Sequence[str] = (),
        threshold: float | None = None,
    ) -> Explanation:
        """Why one video gets `label`, by default the best: which frames and places speak for it, and what frames hear
        from each other in messages. The other arguments are those of `classify`, whose answer is explained. The model
        computes in float32: there and back once, once more for each frame, and once without messages."""
        prediction = self.classify(video, labels, background=background, threshold=threshold, keep_pixels=True)
        return explain(prediction, self.question(labels, background=background, threshold=threshold), label)

    def _scoring(self, labels: Labels | None, background: str | Sequence[str], threshold: float | None) -> Scoring:
        """How logits of these labels become scores, checked."""
        if labels is None and not self.model.labels:
            raise ValueError("there are no labels: give what the videos may show, the model has no names of its own")
        if isinstance(labels, LabelSet):
            if background or threshold is not None:
                raise ValueError("the set of labels has a background and thresholds of its own: set them there")
            chosen = labels
        else:
            chosen = LabelSet.of(self.model.labels if labels is None else labels, background, threshold)
        check_head(self.model, chosen.labels)
        return Scoring.of(self.model, chosen)

    def embed_videos(self, videos: Iterable[VideoSource]) -> Tensor:
        """Videos to unit vectors (N, E), comparable with those of `embed_texts`. Raises `VideoError` on a bad file."""
        rows = [_or_raise(result).vector for result in self.embed_each(videos)]
        return torch.stack(rows) if rows else torch.empty(0, self.model.config.embed_dim)

    def embed_each(self, videos: Iterable[VideoSource]) -> Iterator[Embedding | VideoError]:
        """Unit vectors in the order of `videos`, as they come; a file that cannot be read gives its error instead."""
        for item in self._computed(self._decoded(videos), lambda features: features.embedding):
            yield item if isinstance(item, VideoError) else as_vector(*item)

    def features_each(self, videos: Iterable[VideoSource]) -> Iterator[tuple[Frames, Tensor] | VideoError]:
        """The frames of each video with all that scores and vectors are made of, float32 (1 + N, E) on the CPU.

        They are in the order of `videos`, as they come: the embedding, not normalized, for `answers.as_vector`; behind
        it the N patches that labels look at. `answers.unstack` makes of B of them what `Question` takes.
        """
        return self._computed(self._decoded(videos), stack)

    def embed_texts(self, labels: Sequence[str]) -> Tensor:
        """Labels to unit vectors (K, E). Raises `ValueError` for a model with a linear head."""
        if self.model.text is None:
            raise ValueError("this model has a linear head and cannot embed texts")
        return F.normalize(cast("Tensor", self._label_features(LabelSet.of(labels))).float(), dim=-1).cpu()

    def _label_features(self, chosen: LabelSet) -> Tensor | None:
        """(K + background, E) on the model's device; None for a linear head."""
        taught, labels = self.model.taught, chosen.labels
        said = taught.descriptions if self._as_taught and labels == taught.labels else self.descriptions
        bare = [label for label in labels if label not in chosen.wordings]
        texts = {**dict(zip(bare, wordings(bare, self.template, said), strict=True)), **chosen.wordings}
        return self._inference.texts.of_labels([*(texts[label] for label in labels), *chosen.background])

    def _decoded(self, videos: Iterable[VideoSource]) -> Iterator[Frames | VideoError]:
        """The frames of each video, in order, read ahead."""
        if _is_one(videos):
            given = repr(videos) if isinstance(videos, (str, os.PathLike)) else f"one {type(videos).__name__}"
            raise ValueError(f"videos is {given}; give a list of videos")
        if _are_pictures(videos):
            raise ValueError("videos is a list of pictures, which are one clip; put them into a list: [pictures]")
        workers = 0 if isinstance(videos, (list, tuple)) and len(videos) == 1 else self.workers  # nothing ahead of one
        return decode_many(videos, self.num_frames, workers=workers, timeout=self.timeout, **self.view)

    def _answers(
        self, clips: Iterable[Frames | VideoError], question: Question, *, keep_pixels: bool
    ) -> Iterator[Prediction | VideoError]:
        """The prediction for each clip, in order."""
        for item in self._computed(clips, question.logits):
            yield item if isinstance(item, VideoError) else question.answer(*item, keep_pixels=keep_pixels)

    def _computed(
        self, clips: Iterable[Frames | VideoError], found: Callable[[VideoFeatures], Tensor]
    ) -> Iterator[tuple[Frames, Tensor] | VideoError]:
        """Each clip, in order, with its row of what is `found` in its features.

        `found` takes the features of B clips to (B, ...); rows are float32 on the CPU.
        """
        left = iter(clips)
        while group := list(islice(left, self.batch_size)):
            sound = [clip for clip in group if isinstance(clip, Frames)]
            # Once for all of them: a GPU is waited for until the numbers are here.
            rows = iter(found(self.encode(sound)).float().cpu() if sound else ())
            for clip in group:
                yield clip if isinstance(clip, VideoError) else (clip, next(rows))


def _default_workers(device: torch.device) -> int:
    # A CPU is busy with the model itself; a GPU waits for frames.
    return 1 if device.type == "cpu" else min(cores(), 8)


def _is_one(videos: object) -> bool:
    """One video, and no collection of them."""
    return isinstance(videos, ONE_VIDEO) or callable(getattr(videos, "read", None))


def _are_pictures(videos: object) -> bool:
    """The frames of one clip: a list of images of Pillow, or of arrays (H, W, 3) or (3, H, W)."""
    if not isinstance(videos, (list, tuple)) or not videos:
        return False
    first: object = videos[0]
    return hasattr(first, "convert") or (isinstance(first, (np.ndarray, Tensor)) and first.ndim == 3)


def _or_raise(result: R | VideoError) -> R:
    if isinstance(result, VideoError):
        raise result
    return result
