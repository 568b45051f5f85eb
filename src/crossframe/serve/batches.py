"""One model for many requests: videos are decoded side by side, and clips that wait are computed together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from queue import SimpleQueue
from time import monotonic
from typing import Any, TypeVar, cast

from torch import Tensor

from crossframe.answers import Question, as_vector
from crossframe.explain.explain import Explanation, explain, in_float32
from crossframe.inference import Inference
from crossframe.model.xclip import VideoFeatures
from crossframe.prediction import Embedding, Prediction
from crossframe.recognizer import Recognizer
from crossframe.serve.metrics import Watch
from crossframe.serve.settings import Settings
from crossframe.video.decode import Frames
from crossframe.video.exact import read_arrays
from crossframe.video.given import Limits, Video, VideoError, limits_here
from crossframe.video.isolate import Worker

R = TypeVar("R")
LEAST_READERS = 2  # so that one file that takes long does not keep others waiting


@dataclass(frozen=True, slots=True, eq=False)
class _Clip:
    """Frames that wait for the model, what is wanted of their features, and who waits for it."""

    frames: Frames
    found: Callable[[VideoFeatures], Tensor]
    done: asyncio.Future[Tensor]


class Batches:
    """The work of a server on one recognizer; used as a context, in the loop that serves."""

    def __init__(self, recognizer: Recognizer, settings: Settings, watch: Watch) -> None:
        self.recognizer = recognizer
        self._latency, self._longest = settings.latency, settings.length
        self._watch = watch
        readers = max(LEAST_READERS, recognizer.workers)
        here = limits_here()
        limits = Limits(recognizer.timeout, here.memory, here.frames)
        self._workers = [Worker(limits) for _ in range(readers)]
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        self._reading = ThreadPoolExecutor(readers, "read")
        self._computing = ThreadPoolExecutor(1, "compute")
        self._asking = ThreadPoolExecutor(1, "ask")  # labels are encoded while clips are
        self._waiting: asyncio.Queue[_Clip] = asyncio.Queue()

    async def __aenter__(self) -> Batches:
        for worker in self._workers:
            self._idle.put(worker)
        self._batching = asyncio.create_task(self._batch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._batching.cancel()
        for worker in self._workers:
            worker.close()
        for threads in (self._reading, self._computing, self._asking):
            threads.shutdown(cancel_futures=True)

    async def warm(self, video: Video) -> None:
        """Start all that reads, and compute once, so that the first request need not wait for it."""
        with suppress(VideoError):  # limits may be below any clip
            frames = await asyncio.gather(*(self.frames(video) for _ in self._workers))
            await self.computed(frames[0], lambda features: features.embedding)

    async def vectors(self, texts: list[str]) -> Tensor:
        """See `Recognizer.embed_texts`."""
        return await self.ask(lambda: self.recognizer.embed_texts(texts))

    async def ask(self, work: Callable[[], R]) -> R:
        """The result of work on texts, which is done beside that on clips."""
        return await self._in(self._asking, work)

    async def compute(self, work: Callable[[], R]) -> R:
        """The result of work for which the model is needed alone."""
        return await self._in(self._computing, work)

    async def classify(self, video: Video, question: Question, *, keep_pixels: bool = False) -> Prediction:
        """The answer for a video. Raises VideoError where there is none."""
        frames = await self.frames(video)
        row = await self.computed(frames, question.logits)
        return or_raise(question.answer(frames, row, keep_pixels=keep_pixels))

    async def explain(self, video: Video, question: Question, label: str | None) -> Explanation:
        """The reasons for the answer for a video, computed beside no other clip. Raises VideoError where there is none.

        All is in float32, as that of the command: the score that is explained is the one that is answered.
        """
        frames = await self.frames(video)

        def work() -> Explanation:
            exact = replace(question, inference=self._in_float32) if self._rounds else question
            row = exact.logits(exact.inference.encode([frames.pixels]))[0]
            return explain(or_raise(exact.answer(frames, row, keep_pixels=True)), exact, label)

        return await self.compute(work)

    @property
    def _rounds(self) -> bool:
        return self.recognizer.precision != "float32"

    @cached_property
    def _in_float32(self) -> Inference:
        """Made when it is first asked for, by the one thread that computes: on a CPU it has weights of its own."""
        return Inference(in_float32(self.recognizer.model))

    async def embed(self, video: Video) -> Embedding:
        """The vector of a video. Raises VideoError where there is none."""
        frames = await self.frames(video)
        return or_raise(as_vector(frames, await self.computed(frames, lambda features: features.embedding)))

    async def frames(self, video: Video, **choice: Any) -> Frames:
        """The frames that the model looks at, or a `choice` by options of `crossframe.video.decode.read_video`.

        Raises VideoError where they cannot be read, or the video lasts longer than is allowed.
        """
        options = {**self.recognizer.view, "longest": self._longest, **choice}
        return Frames.from_arrays(await self.read(read_arrays, video, self.recognizer.num_frames, **options))

    async def read(self, function: Callable[..., R], video: Video, *given: Any, **options: Any) -> R:
        """The result of a function that reads a video, in one of the processes for that; it need not know torch.

        Raises VideoError where the file costs that.
        """
        return await self._in(self._reading, lambda: self._read(function, video, given, options))

    def _read(self, function: Callable[..., R], video: Video, given: tuple[Any, ...], options: dict[str, Any]) -> R:
        worker, begun = self._idle.get(), monotonic()
        try:
            answer: Any = worker.read((video.name, cast("Any", function), (video, *given), options))
        finally:
            self._idle.put(worker)
        self._watch.reading.observe(monotonic() - begun)
        return or_raise(answer)

    async def computed(self, frames: Frames, found: Callable[[VideoFeatures], Tensor]) -> Tensor:
        """The row that is `found` in the features of these frames, float32 on the CPU."""
        clip = _Clip(frames, found, asyncio.get_running_loop().create_future())
        self._waiting.put_nowait(clip)
        return await clip.done

    async def _batch(self) -> None:
        while True:
            clips = [await self._waiting.get()]
            try:
                async with asyncio.timeout(self._latency):
                    while len(clips) < self.recognizer.batch_size:
                        clips.append(await self._waiting.get())
            except TimeoutError:
                pass
            clips = [clip for clip in clips if not clip.done.done()]  # nobody waits for the others any more
            if clips:
                await self._settle(clips)

    async def _settle(self, clips: list[_Clip]) -> None:
        try:
            rows = await self._in(self._computing, lambda: self._rows(clips))
        except Exception as error:
            for clip in clips:
                if not clip.done.done():
                    clip.done.set_exception(error)
            return
        for clip, row in zip(clips, rows, strict=True):
            if not clip.done.done():
                clip.done.set_result(row)

    def _rows(self, clips: list[_Clip]) -> list[Tensor]:
        begun = monotonic()
        features = self.recognizer.encode([clip.frames for clip in clips])
        rows = [clip.found(features.clip(place))[0].float().cpu() for place, clip in enumerate(clips)]
        self._watch.computing.observe(monotonic() - begun)
        self._watch.together.observe(len(clips))
        return rows

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(threads, work)


def or_raise(result: R | VideoError) -> R:
    """The result; raises the error where it is one."""
    if isinstance(result, VideoError):
        raise result
    return result
