"""A model evaluated on a whole data set: every video once, in any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from crossframe.answers import Scoring
from crossframe.data.batch import Batch
from crossframe.data.loader import EvalLoader
from crossframe.data.manifest import Manifest
from crossframe.data.reader import Sampling
from crossframe.distributed import from_all_processes, this_process
from crossframe.evaluate.result import Evaluation, MultiLabelEvaluation, VideoResult
from crossframe.evaluate.statistics import TOP
from crossframe.inference import Crops, Inference, Precision, check_precision, evaluating
from crossframe.model.config import variant_of
from crossframe.model.xclip import XCLIP
from crossframe.text.labels import Group, LabelSet
from crossframe.weights.saving import fingerprint

NO_NUMBERS = "the model's scores are not numbers; its weights have diverged, or need float32"


@dataclass(frozen=True, slots=True)
class Setting:
    """How videos are presented to the model: what a result depends on besides weights, videos and labels.

    There are `sampling.views` temporal views times `crops` (the center, or three along the long side). `batch_size`
    videos are computed together, the same ones in any number of processes. `background` words take part in the softmax
    and are no answer.
    """

    sampling: Sampling = field(default_factory=Sampling)
    crops: Crops = 1
    precision: Precision = "float32"
    batch_size: int = 8
    background: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.crops not in (1, 3):
            raise ValueError(f"{self.crops} crops are not possible; use 1 (the center) or 3 (along the long side)")


def evaluate_manifest(
    model: XCLIP,
    manifest: Manifest,
    setting: Setting | None = None,
    *,
    text: Tensor | None = None,
    made_with: Mapping[str, Any] | None = None,
    workers: int = 0,
    watch: Callable[[EvalLoader], Iterable[Batch]] = iter,
) -> Evaluation:
    """Evaluate the clips of a manifest among its labels, on all processes of torch.distributed if it is initialized.

    Without `setting`, one center view of as many frames as the model was trained with. `text`: see `evaluate`.
    `made_with`: further entries of the summary, such as the origin of the text. `watch` may wrap the batches in a
    progress bar. Clips with several labels give a `MultiLabelEvaluation`. The result is the same in every process, and
    includes hashes of the weights and of the list of clips.
    """
    setting = setting or Setting(Sampling(model.config.num_frames))
    short_side = model.preprocess.short_side
    loader = EvalLoader(
        manifest,
        setting.sampling,
        setting.batch_size,
        short_side=short_side,
        workers=workers,
        process=this_process(),
    )
    evaluation = evaluate(
        model,
        watch(loader),
        manifest.labels,
        manifest.names,
        text=text,
        setting=setting,
        truths=manifest.all_targets() if manifest.several else None,
    )
    facts = {**facts_of(model, manifest), "short_side": short_side}
    made_with = {**facts, **evaluation.made_with, **(made_with or {})}
    given = [clip.label for clip in manifest.clips] if manifest.several or manifest.outside else None
    return replace(evaluation, made_with=made_with, recordings=manifest.recordings, given=given)


def facts_of(model: XCLIP, manifest: Manifest) -> dict[str, Any]:
    """The weights and the clips that a result is of, with hashes of both, for its summary."""
    return {
        "data": str(manifest.root.absolute()),
        "split": "+".join(sorted({clip.split for clip in manifest.clips} - {""})) or "all",
        "split_hash": manifest.digest(),
        "weights": fingerprint(model),
        "variant": variant_of(model.config),
        **({} if model.taught.calibration is None else {"temperature": model.taught.calibration.temperature}),
    }


def scoring_of(model: XCLIP, labels: Sequence[str], setting: Setting, *, several: bool = False) -> Scoring:
    """How an evaluation scores these labels: in a softmax, or each by itself where clips have several."""
    group = Group("", tuple(labels), independent=several)
    return Scoring.of(model, LabelSet((group,), background=setting.background))


def evaluate(
    model: XCLIP,
    batches: Iterable[Batch],
    labels: Sequence[str],
    names: Sequence[str],
    *,
    text: Tensor | None = None,
    setting: Setting | None = None,
    truths: Sequence[tuple[int, ...]] | None = None,
) -> Evaluation:
    """Evaluate any batches; `names` are those of all videos, by index. A target of -1 is none of the labels.

    `text`, (K + background, E): features of the labels and of the background of `scoring_of`, by default those of their
    plain texts (see `label_features`). `truths`: the classes of each video, where they may have several. Under
    torch.distributed each process passes its own batches, which must cover every video once together. The model's mode
    is restored afterwards.

    Raises ValueError where a video is missing or comes twice, or weights are rounded to less than float32 and no less
    was asked for.
    """
    setting = setting or Setting(Sampling(model.config.num_frames))
    if not names:
        raise ValueError("there are no videos to evaluate; give at least one")
    check_precision(model, setting.precision)
    with evaluating(model):
        inference = Inference(model, setting.precision, fast=False)
        scoring = scoring_of(model, labels, setting, several=truths is not None)
        words = [*labels, *scoring.labels.background]
        if text is None:
            text = inference.texts.of_labels(words)
        elif len(text) != len(words):
            raise ValueError(f"there are features of {len(text)} texts for {len(words)} labels; give one for each")
        answering = _Answering(inference, text, setting, scoring, truths)
        mine = [result for batch in batches for result in answering.results(batch)]
    results = sorted(from_all_processes(mine), key=lambda result: result.index)
    if [result.index for result in results] != list(range(len(names))):
        distinct = len({result.index for result in results})
        raise ValueError(
            f"the batches hold {len(results)} videos, {distinct} different ones, of {len(names)}; give every video once"
        )
    last = max(result.target for result in results)
    if last >= len(labels):
        raise ValueError(f"a video has class {last}, and there are {len(labels)} labels from 0; give all labels")
    found = tuple(labels), tuple(names), tuple(results), asdict(setting)
    return Evaluation(*found) if truths is None else MultiLabelEvaluation(*found, truths=tuple(truths))


@dataclass(frozen=True, slots=True)
class _Answering:
    """The answers for batches of clips."""

    inference: Inference
    text: Tensor | None
    setting: Setting
    scoring: Scoring
    truths: Sequence[tuple[int, ...]] | None

    def results(self, batch: Batch) -> Iterator[VideoResult]:
        for failure in batch.failures:
            yield VideoResult(failure.index, failure.target, error=failure.reason)
        if not len(batch):
            return
        views, crops = self.setting.sampling.views, self.setting.crops
        scores = self.inference.probabilities(
            batch.videos, self.text, views=views, crops=crops, scoring=self.scoring
        )  # (B, K)
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :TOP]  # equal scores keep the order of labels
        rows = zip(batch.indices.tolist(), batch.targets.tolist(), scores, order, strict=True)
        for index, target, row, best in rows:
            if row.isfinite().all():
                yield replace(self._result(index, target, row, best), damaged=index in batch.damaged)
            else:
                yield VideoResult(index, target, error=NO_NUMBERS)

    def _result(self, index: int, target: int, row: Tensor, best: Tensor) -> VideoResult:
        """The answer of one clip from its scores, (K,), and its best labels."""
        top = tuple(best.tolist())
        if self.truths is not None and top[0] in self.truths[index]:
            target = top[0]
        whole = None if self.truths is None else tuple(row.tolist())
        score = float(row[target]) if target >= 0 else None
        return VideoResult(index, target, top, tuple(row[best].tolist()), score, row=whole)
