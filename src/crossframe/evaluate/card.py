"""The card of a model, as the hub shows it: its make, its training, and its scores with their intervals."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

import crossframe
from crossframe.evaluate.result import SUMMARY
from crossframe.evaluate.statistics import TOP
from crossframe.model.config import variant_of
from crossframe.model.xclip import XCLIP
from crossframe.pace import counted, percent
from crossframe.published import PAPER
from crossframe.weights.saving import fingerprint
from crossframe.weights.sources import is_hub_id, list_models

RECIPE = "recipe.yaml"
LABELS = 100  # that are named
SEAL = "\n<!-- as crossframe wrote it: "


def model_card(
    model: XCLIP,
    run: str | Path | None = None,
    *,
    name: str | None = None,
    license: str | None = None,
    scores: Sequence[str | Path] = (),
) -> ModelCard:
    """The page of a model and, by `run`, the folder of its training, on what it was trained and what came of it.

    Scores are those of the evaluations in the run's folder, and in `scores`, that measured exactly these weights.
    `license` is that of the weights; not given, it is that of a published model that training began with, or nobody
    has said it. Raises `ValueError` for evaluations of other weights, `OSError` for folders without one.
    """
    name = name or (Path(run).resolve().name if run else "crossframe model")
    digits = fingerprint(model)
    found = [*_own_summaries(Path(run), digits)] if run else []
    for folder in scores:
        summary = _read(Path(folder) / SUMMARY)
        if summary["made_with"]["weights"] != digits:
            raise ValueError(f"{folder} measured other weights than these; leave it out, or evaluate these")
        found.append(summary)
    found = [*{json.dumps(each, sort_keys=True): each for each in found}.values()]  # one repeated counts once
    began = model.taught.init
    known = next((source for source in list_models() if source.name == began), None)
    license = license or (known.license.lower() if known else None)
    data = ModelCardData(
        library_name="crossframe",
        pipeline_tag="video-classification",
        tags=["video", "x-clip", "zero-shot"],
        license=license,
        base_model=began if began and known and is_hub_id(began) else None,
        model_name=name,
        eval_results=[_result(summary) for summary in found] or None,
    )
    parts = [
        _head(model, name, digits),
        _training(model, Path(run)) if run else _known_training(model),
        _scores(found),
        _labels(model),
        _limits(license),
    ]
    text = f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(part for part in parts if part)
    return ModelCard(text + _seal(text))


def is_edited(card: Path) -> bool:
    """True for a card with words that `model_card` did not write."""
    text, seal, rest = card.read_text(encoding="utf-8").partition(SEAL)
    return seal + rest != _seal(text)


def _seal(text: str) -> str:
    """A last line, which readers do not see, that tells a card as it was written from one that somebody edited."""
    return f"{SEAL}{hashlib.sha256(text.encode()).hexdigest()[:16]} -->\n"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _own_summaries(run: Path, digits: str) -> Iterator[dict[str, Any]]:
    """The summaries of a run that measured these weights."""
    for path in sorted(run.glob(f"*/{SUMMARY}")):
        summary = _read(path)
        if summary.get("made_with", {}).get("weights") == digits:
            yield summary


def _head(model: XCLIP, name: str, digits: str) -> str:
    config = model.config
    shape = variant_of(config) or f"width {config.vision.width}, {config.vision.layers} layers"
    parts = {
        "messages between frames": config.vision.mixing == "cross_frame",
        "a multi-frame transformer": config.mit is not None,
        "prompts that look at the video": config.prompts is not None,
    }
    with_parts = ", ".join(part for part, there in parts.items() if there) or "the mean of frames"
    words = "" if config.text else "  # its own classes alone"
    labels = "" if model.labels else ', ["a first label", "a second label"]'
    rows = {
        "image encoder": f"{shape}, pictures of {config.vision.image_size}, patches of {config.vision.patch_size}",
        "over time": f"{config.num_frames} frames; {with_parts}",
        "parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
        "weights": f"`{digits[:16]}`",
    }
    return (
        f"# {_plain(name)}\n\nNames what happens in videos: a model of crossframe {crossframe.__version__}, by the "
        f"method of [X-CLIP]({PAPER}).\n\n```python\nimport crossframe\n\n"
        f'recognizer = crossframe.Recognizer.from_pretrained("{name}")\n'
        f'recognizer.classify("clip.mp4"{labels}){words}\n```\n\n{_table(rows)}'
    )


def _training(model: XCLIP, run: Path) -> str:
    recipe, summary = yaml.safe_load((run / RECIPE).read_text(encoding="utf-8")), _read(run / SUMMARY)
    data, train = recipe["data"], recipe["train"]
    source = data.get("source")
    rows = {
        "recipe": f"`{recipe['name']}`",
        "began with": model.taught.init or "nothing",
        "data": Path(source).name if source else str(data.get("kind", "")),
        "shots": data.get("shots"),
        "epochs": train.get("epochs"),
        "batch": train.get("batch_size"),
        "rate": train.get("rates", {}).get("base"),
        "loss": train.get("loss"),
        "precision": train.get("precision"),
        "seed": train.get("seed"),
        "steps": f"{summary['steps']:,}",
        "clips seen": f"{summary['clips']:,}",
        "time": f"{summary['seconds'] / 60:.1f} minutes",
    }
    return f"## Training\n\n{_table(rows)}"


def _known_training(model: XCLIP) -> str:
    taught = model.taught.in_words()
    return f"## Training\n\nTrained with {taught}.\n" if taught else ""


def _scores(found: Sequence[dict[str, Any]]) -> str:
    if not found:
        return "## Scores\n\nNot measured.\n"
    clips, events = ([each for each in found if ("events" in each) is told] for told in (False, True))
    return "\n".join(["## Scores", "", *_clip_scores(clips), *_event_scores(events)])


def _event_scores(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    """How well timelines of long videos tell events."""
    if not found:
        return
    yield "| long videos | events | mAP at overlaps of .3 to .7 | 95% interval | at .5 | at points |"
    yield "|---|---|---|---|---|---|"
    for summary in found:
        low, high = summary["mean_ap_interval"]
        shares = (percent(summary[name]) for name in ("ap_50", "points"))
        interval = f"{summary['mean_ap']:.1%} | {low:.1%} to {high:.1%}"
        yield f"| {_data_of(summary)} | {summary['events']:,} | {interval} | {' | '.join(shares)} |"
    yield from _notes(found, "events")
    yield ""


def _clip_scores(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not found:
        return
    yield "| clips | number | top-1 | 95% interval | top-5 | views |"
    yield "|---|---|---|---|---|---|"
    for summary in found:
        made, (low, high) = summary["made_with"], summary["top1_interval"]
        views = f"{made['sampling']['views']} x {made.get('crops', 1)}"  # drawn clips have no crops
        cells = (_data_of(summary), f"{summary['videos']:,}", f"{summary['top1']:.1%}", f"{low:.1%} to {high:.1%}")
        near = f"{summary['top5']:.1%}" if summary["classes"] > TOP else "-"  # it is always right among so few
        yield f"| {' | '.join(cells)} | {near} | {views} |"
    yield from _notes(found, "clips")
    yield ""


def _notes(found: Sequence[dict[str, Any]], what: str) -> list[str]:
    """Lines about what the model was trained on, below a table."""
    notes: list[str] = []
    for summary in found:
        if summary["trained_on"]:
            notes.append(f"The model was trained on {summary['trained_on']:,} of the {what} of {_data_of(summary)}.")
        if left := summary["made_with"].get("left_out"):
            notes.append(
                f"Left out of {_data_of(summary)}, for the model was trained on them: {counted(left, 'clip')}."
            )
    return ["", *notes] if notes else []


def _result(summary: dict[str, Any]) -> EvalResult:
    data = _data_of(summary)
    kind, score = ("mAP", "mean_ap") if "events" in summary else ("accuracy", "top1")
    return EvalResult(
        task_type="video-classification",
        dataset_type=data.partition(",")[0],
        dataset_name=data,
        metric_type=kind,
        metric_value=round(summary[score], 4),
    )


def _data_of(summary: dict[str, Any]) -> str:
    made = summary["made_with"]
    return _plain(f"{Path(made.get('list') or made['data']).name}, {made['split']}")


def _labels(model: XCLIP) -> str:
    if not model.labels:
        return ""
    names = ", ".join(map(_plain, model.labels[:LABELS]))
    more = f", and {len(model.labels) - LABELS:,} more" if len(model.labels) > LABELS else ""
    return f"## Labels\n\nThe {len(model.labels):,} it was trained on: {names}{more}.\n"


def _limits(license: str | None) -> str:
    said = f"That of the weights is `{license}`." if license else "Nobody has said that of the weights."
    return (
        "## Limits\n\nScores are relative to the labels that are given: they say which fits best, not that one is true."
        f"\nClips unlike those of its training may get any score.\n\n## License\n\n{said}\n"
    )


def _table(rows: dict[str, Any]) -> str:
    lines = [f"| {name} | {_plain(str(value))} |" for name, value in rows.items() if value is not None]
    return "\n".join(["| | |", "|---|---|", *lines, ""])


def _plain(text: str) -> str:
    """In a cell of a table, without its marks."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
