"""A model evaluated on a whole data set: every video once, in any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from crossframe.data.batch import Batch
from crossframe.data.loader import EvalLoader
from crossframe.data.manifest import Manifest
from crossframe.data.reader import Sampling
from crossframe.distributed import from_all_processes, this_process
from crossframe.evaluate.result import Evaluation, VideoResult
from crossframe.evaluate.statistics import TOP
from crossframe.inference import Crops, Inference, Precision, check_precision, evaluating
from crossframe.model.config import variant_of
from crossframe.model.xclip import XCLIP
from crossframe.weights.saving import fingerprint

NO_NUMBERS = "the model's scores are not numbers; its weights have diverged, or need float32"


@dataclass(frozen=True, slots=True)
class Setting:
    """How videos are presented to the model: what a result depends on besides weights, videos and labels.

    There are `sampling.views` temporal views times `crops` (the center, or three along the long side). `batch_size`
    videos are computed together, the same ones in any number of processes.
    """

    sampling: Sampling = field(default_factory=Sampling)
    crops: Crops = 1
    precision: Precision = "float32"
    batch_size: int = 8

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
    progress bar. The result is the same in every process, and includes hashes of the weights and of the list of clips.
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
    evaluation = evaluate(model, watch(loader), manifest.labels, manifest.names, text=text, setting=setting)
    facts = {
        "data": str(manifest.root.absolute()),
        "split": "+".join(sorted({clip.split for clip in manifest.clips} - {""})) or "all",
        "split_hash": manifest.digest(),
        "weights": fingerprint(model),
        "variant": variant_of(model.config),
        "short_side": short_side,
    }
    made_with = {**facts, **evaluation.made_with, **(made_with or {})}
    return replace(evaluation, made_with=made_with, recordings=manifest.recordings)


def evaluate(
    model: XCLIP,
    batches: Iterable[Batch],
    labels: Sequence[str],
    names: Sequence[str],
    *,
    text: Tensor | None = None,
    setting: Setting | None = None,
) -> Evaluation:
    """Evaluate any batches; `names` are those of all videos, by index.

    `text`, (K, E): features of the labels, by default those of their plain texts (see `label_features`). Under
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
        if text is None:
            text = inference.texts.of_labels(labels)
        elif len(text) != len(labels):
            raise ValueError(f"there are features of {len(text)} texts for {len(labels)} labels; give one for each")
        mine = [result for batch in batches for result in _results(inference, batch, text, setting)]
    results = sorted(from_all_processes(mine), key=lambda result: result.index)
    if [result.index for result in results] != list(range(len(names))):
        distinct = len({result.index for result in results})
        raise ValueError(
            f"the batches hold {len(results)} videos, {distinct} different ones, of {len(names)}; give every video once"
        )
    last = max(result.target for result in results)
    if last >= len(labels):
        raise ValueError(f"a video has class {last}, and there are {len(labels)} labels from 0; give all labels")
    return Evaluation(tuple(labels), tuple(names), tuple(results), asdict(setting))


def _results(inference: Inference, batch: Batch, text: Tensor | None, setting: Setting) -> Iterator[VideoResult]:
    for failure in batch.failures:
        yield VideoResult(failure.index, failure.target, error=failure.reason)
    if not len(batch):
        return
    views = setting.sampling.views
    scores = inference.probabilities(batch.videos, text, views=views, crops=setting.crops)  # (B, K)
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :TOP]  # equal scores keep the order of the labels
    rows = zip(batch.indices.tolist(), batch.targets.tolist(), scores, order, strict=True)
    for index, target, row, best in rows:
        if row.isfinite().all():
            top, shares = tuple(best.tolist()), tuple(row[best].tolist())
            yield VideoResult(index, target, top, shares, float(row[target]), damaged=index in batch.damaged)
        else:
            yield VideoResult(index, target, error=NO_NUMBERS)
