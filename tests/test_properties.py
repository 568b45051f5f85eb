"""Properties that hold whatever is given: round trips, counts that add up, frames that exist, text for terminals."""

from __future__ import annotations

import json
import math
import random
import tempfile
from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossframe.data.clip import Clip
from crossframe.data.manifest import Manifest, read_manifest, write_manifest
from crossframe.data.reader import Sampling
from crossframe.evaluate.statistics import Counts, calibration, calibration_error, interval
from crossframe.files import plain_json
from crossframe.model.config import ModelConfig, MultiFrameConfig, PromptConfig, TextConfig, VisionConfig
from crossframe.recipes.load import dump_recipe, load_recipe
from crossframe.text.labels import clean, escaped
from crossframe.text.tokenizer import Tokenizer
from crossframe.video.mixing import Mixup
from crossframe.video.sample import evenly_timed, sparse

CLIP = Tokenizer.clip()
small = st.integers(1, 6)
# Of letters that were added to Unicode since this Python was made, only the tokenizer knows which are capitals.
known = st.characters(exclude_categories=("Cs", "Cn"))
plain = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=20)


@given(st.text(known, max_size=30))
@settings(max_examples=100, deadline=None)
def test_tokens_hold_the_cleaned_text_and_nothing_else(text: str) -> None:
    try:
        (row,) = CLIP(text)
    except ValueError:  # too long
        assert len(text) > 10
        return
    assert "".join(CLIP.decode(row).split()) == "".join(clean(text).split())
    assert CLIP([text, "yoga"])[0].tolist() == row.tolist()
    assert int(row.argmax()) == len(row[row != 0]) - 1 or 0 in row[: int(row.argmax())]


@given(small, small, small, small, st.booleans(), st.booleans())
def test_configurations_survive_json(layers: int, heads: int, grid: int, frames: int, mit: bool, prompts: bool) -> None:
    vision = VisionConfig(8 * grid, 8, 4 * heads, layers, heads, 8 * heads, mixing="cross_frame" if mit else "none")
    config = ModelConfig(
        vision,
        TextConfig(64, 12, 4 * heads, layers, heads, 16),
        8 * heads,
        frames,
        MultiFrameConfig(layers, heads, 16) if mit else None,
        PromptConfig(layers, heads, 16) if prompts else None,
    )
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@given(st.floats(1e-7, 1e-2), st.integers(5, 60), st.integers(1, 9), st.sampled_from(["sparse", "dense", "time"]))
@settings(max_examples=25, deadline=None)
def test_recipes_survive_yaml(rate: float, epochs: int, shots: int, sampling: str) -> None:
    changes = [f"train.rates.base={rate!r}", f"train.epochs={epochs + 1}", f"data.shots={shots}"]
    recipe = load_recipe("finetune", [*changes, "train.warmup_epochs=1", f"data.sampling={sampling}"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(dump_recipe(recipe), encoding="utf-8")
        assert load_recipe(path) == recipe


@given(st.lists(st.tuples(plain, st.sampled_from("abc"), st.floats(0, 50)), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_lists_survive_their_files(rows: list[tuple[str, str, float]]) -> None:
    clips = tuple(
        Clip(f"v/{number}{name.strip()}.mp4", label, "train", start, start + 1.0)
        for number, (name, label, start) in enumerate(rows)
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in ("list.csv", "list.parquet"):
            for clip in clips:
                (Path(folder) / clip.path).parent.mkdir(exist_ok=True)
                (Path(folder) / clip.path).touch()
            write_manifest(Manifest(clips, ("a", "b", "c"), Path(folder)), Path(folder) / name)
            assert read_manifest(Path(folder) / name, None, ["a", "b", "c"]).clips == clips


@given(st.lists(st.floats(0.001, 5), min_size=1, max_size=60), st.integers(1, 16), st.integers(1, 4))
def test_frames_by_the_clock_exist_in_order_and_are_those_on_the_screen(
    gaps: list[float], frames: int, views: int
) -> None:
    times = [sum(gaps[:i]) for i in range(len(gaps))]
    end = times[-1] + gaps[-1]
    for view in range(views):
        offset = (view + 0.5) / views
        chosen = evenly_timed(times, end, frames, [offset] * frames)
        assert len(chosen) == frames
        assert chosen == sorted(chosen)
        for i, index in enumerate(chosen):
            moment = (i + offset) * end / frames
            assert times[index] <= moment + 2e-6
            assert index == len(times) - 1 or moment < times[index + 1] + 1e-5
    assert Sampling(frames, "time", views).test(len(times), (times, end))[:frames] == evenly_timed(
        times, end, frames, [0.5 / views] * frames
    )


@given(st.integers(1, 500), st.integers(1, 16))
def test_even_times_are_even_counts(total: int, frames: int) -> None:
    times = [float(t) for t in range(total)]
    assert [
        abs(a - b) for a, b in zip(evenly_timed(times, float(total), frames), sparse(total, frames), strict=True)
    ] == [0] * frames


@given(st.integers(0, 999), st.integers(1, 9), st.integers(2, 64))
@settings(deadline=None)
def test_mixed_targets_stay_distributions(seed: int, clips: int, size: int) -> None:
    mix = Mixup().draw(clips, size, random.Random(seed))
    targets = torch.rand(clips, 5, dtype=torch.float64)
    targets /= targets.sum(dim=1, keepdim=True)
    assert 0 <= mix.share <= 1
    assert sorted(mix.partners) == list(range(clips))
    torch.testing.assert_close(mix.targets(targets).sum(dim=1), torch.ones(clips, dtype=torch.float64))
    videos = torch.rand(clips, 1, 3, size, size)
    mixed = mix.videos(videos)
    assert mixed.min() >= 0
    assert mixed.max() <= 1


@given(st.lists(st.tuples(st.integers(0, 5), st.permutations(range(6))), min_size=2, max_size=40), st.integers(1, 39))
def test_counts_add_up_over_batches(rows: list[tuple[int, list[int]]], cut: int) -> None:
    def count(part: list[tuple[int, list[int]]]) -> Counts:
        ranked = torch.tensor([order for _, order in part]).view(-1, 6)
        return Counts.of(ranked, torch.tensor([target for target, _ in part], dtype=torch.int64), 6)

    whole, parts = count(rows), count(rows[:cut]) + count(rows[cut:])
    assert (whole.top1, whole.top5) == (parts.top1, parts.top5)
    assert whole.top1 == sum(order[0] == target for target, order in rows) / len(rows)
    assert whole.top1 <= whole.top5 <= 1


@given(st.lists(st.booleans(), min_size=1, max_size=60))
@settings(max_examples=20, deadline=None)
def test_an_interval_holds_the_share(right: list[bool]) -> None:
    low, high = interval([(int(one), 1) for one in right])
    assert 0 <= low <= sum(right) / len(right) <= high <= 1


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_calibration_counts_every_answer_once(answers: list[tuple[float, bool]]) -> None:
    bins = calibration(*(torch.tensor(part) for part in zip(*answers, strict=True)))
    assert sum(part.videos for part in bins) == len(answers)
    error = calibration_error(bins)
    assert error is not None
    assert 0 <= error <= 1


@given(st.text())
def test_escaped_text_steers_nothing_and_says_all(text: str) -> None:
    shown = escaped(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    assert escaped(shown) == shown
    if text.isascii() and text.isprintable():
        assert shown == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(json_values)
def test_json_is_strict_and_keeps_what_it_can(values: object) -> None:
    found = json.loads(plain_json(values), parse_constant=lambda word: 1 / 0)

    def same(one: object, other: object) -> bool:
        if isinstance(one, float) and not math.isfinite(one):
            return other is None
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(map(same, one, other))
        if isinstance(one, dict) and isinstance(other, dict):
            return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
        return one == other

    assert same(values, found)
