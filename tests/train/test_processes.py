"""Several processes: they train as one would, stop together, and say who is missing."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from crossframe.data.batch import Batch, classification
from crossframe.data.drawn import Clips, Stills
from crossframe.distributed import Processes, joined
from crossframe.recipes.load import load_recipe
from crossframe.recipes.schema import Recipe
from crossframe.train.checkpoint import load_state
from crossframe.train.launch import check_processes, launch
from crossframe.train.transform import TrainTransform, plan_exchange
from crossframe.video.mixing import Mixup
from tests.data.dataset import write_dataset
from tests.evaluate.world import small_model
from tests.train.many import Kill, together, train_and_tell


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Two epochs of eight clips and a broken one, in steps of three batches and what is left, everything on."""
    folder = write_dataset(tmp_path_factory.mktemp("filmed") / "clips")
    small = json.dumps(asdict(load_recipe("shapes", tiny=True).model.towers))
    changes = ["init=null", f"model.towers={small}", "model.frames=2", f"data.source={folder}", "train.threads=1"]
    changes += ["train.epochs=2", "train.warmup_epochs=0", "train.batch_size=2", "train.accumulate=3"]
    changes += [
        "train.augment={}",
        "train.mix={}",
        "train.average=0.9",
        "train.save_every=1",
        "train.rates.base=1e-2",
    ]
    changes += ["train.rates.eps=1e-3"]  # or AdamW would enlarge the noise where a gradient is zero
    return load_recipe("finetune", ["data.hold_out=0", *changes], tiny=True)


def weights(out: Path) -> dict[str, Tensor]:
    return load_file(out / "last" / "model.safetensors")


def test_two_processes_train_as_one(filmed: Recipe, tmp_path: Path) -> None:
    (alone,) = together(train_and_tell, filmed, tmp_path / "one")
    both = together(train_and_tell, filmed, tmp_path / "two", world=2)
    assert [outcome.words for outcome in (alone, *both)] == ["", "", ""]
    assert len(alone.value["losses"]) == 4
    assert both[0].value["losses"] == pytest.approx(alone.value["losses"], abs=1e-5)
    assert both[1].value["losses"] == both[0].value["losses"]
    assert both[0].value["gradients"] == pytest.approx(alone.value["gradients"], rel=1e-4)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-5, rtol=1e-4)
    assert not (tmp_path / "two" / "logs" / "csv" / "version_1").exists()  # only the first process writes


@pytest.fixture(scope="module")
def divided(filmed: Recipe) -> Recipe:
    """FSDP2, with blocks computed again."""
    changes = {"strategy": "fsdp", "checkpoint_blocks": True, "clip_norm": 1.0}
    return replace(filmed, train=replace(filmed.train, **changes))


@pytest.fixture(scope="module")
def undivided(divided: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[float], dict[str, Tensor]]:
    """Losses and weights of one process."""
    out = tmp_path_factory.mktemp("undivided")
    (alone,) = together(train_and_tell, divided, out)
    assert alone.words == ""
    return alone.value["losses"], weights(out)


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 1), (1, 2)])
def test_processes_that_divide_the_model_train_as_one(
    before: int, after: int, divided: Recipe, undivided: tuple[list[float], dict[str, Tensor]], tmp_path: Path
) -> None:
    """So many until one is killed, and then so many, which may be others."""
    losses, expected = undivided
    together(train_and_tell, divided, tmp_path, world=before, kill=[*[None] * (before - 1), Kill(step=2)])
    rest = together(train_and_tell, divided, tmp_path, world=after)
    assert [outcome.words for outcome in rest] == [""] * after
    resumed = losses[-len(rest[0].value["losses"]) :]
    assert 1 <= len(resumed) < len(losses)
    assert rest[0].value["losses"] == pytest.approx(resumed, abs=1e-5)
    found = weights(tmp_path)
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, atol=1e-5, rtol=1e-4)


def test_a_process_that_dies_is_named(filmed: Recipe, tmp_path: Path) -> None:
    first, second = together(train_and_tell, filmed, tmp_path, world=2, kill=[None, Kill(step=1)])
    assert (first.code, second.code) == (1, -9)
    assert "LostProcessError: process 1 of 2 has ended" in first.words
    assert "go on with --resume" in first.words


def test_processes_stop_together_when_one_is_asked(filmed: Recipe, tmp_path: Path) -> None:
    stopped = together(train_and_tell, filmed, tmp_path, world=2, kill=[None, Kill(step=1, number=signal.SIGTERM)])
    for outcome in stopped:
        assert "TrainingStopped: stopped after step 3 of 4; go on with --resume" in outcome.words
    assert load_state(tmp_path / "last")["loop"]["next_step"] == 3


@pytest.mark.parametrize(
    "drawn",
    [
        Stills("stills", 3, 6, 32, ("look", "place")),
        Clips("train", 3, 6, 32, 2),
    ],
)
def test_processes_share_a_batch(drawn: Stills | Clips) -> None:
    whole = drawn.batch(5)
    for rank in range(2):
        part = replace(drawn, process=(rank, 2)).batch(5)
        assert torch.equal(part.clips.indices, whole.clips.indices[rank::2])
        assert torch.equal(torch.as_tensor(part.clips.videos), torch.as_tensor(whole.clips.videos)[rank::2])
        for task, expected in zip(part.tasks, whole.tasks, strict=True):
            assert task.texts == expected.texts
            assert torch.equal(task.targets, expected.targets[rank::2])


@pytest.mark.parametrize(
    "clips",
    [
        [[30, 10], [20, 50, 40]],
        [[5], [], [3, 1, 2]],
        [[1, 2, 3, 4]],
    ],
)
def test_every_clip_meets_its_partner(clips: list[list[int]]) -> None:
    """What each process would send is put together by hand here."""
    everybody = sorted(clip for own in clips for clip in own)
    partners = torch.randperm(len(everybody), generator=torch.Generator().manual_seed(1)).tolist()
    plans = [plan_exchange(clips, partners, rank) for rank in range(len(clips))]
    for rank, own in enumerate(clips):
        came: list[int] = []
        for sender, plan_of_sender in enumerate(plans):
            start = sum(plan_of_sender.sent[:rank])
            rows = plan_of_sender.rows[start : start + plan_of_sender.sent[rank]]
            assert len(rows) == plans[rank].received[sender]
            came += [clips[sender][row] for row in rows]
        met = [came[place] for place in plans[rank].places]
        assert met == [everybody[partners[everybody.index(clip)]] for clip in own]


def mixed_alone_or_together(folder: Path) -> tuple[list[float], list[list[float]]]:
    """This process's share of a batch of seven clips, mixed in groups of three: levels, and targets."""
    with joined():
        processes = Processes()
        model = small_model()
        places = torch.tensor([30, 10, 20, 50, 40, 70, 60])[processes.rank :: processes.world]
        clips = [torch.full((4, 3, 32, 32), int(place), dtype=torch.uint8) for place in places]
        batch = classification(Batch(clips, places // 10 - 1, places), tuple("abcdefg"))
        transform = TrainTransform(model, mixup=Mixup(switch=0.0, group=3), seed=1, processes=processes)
        video, (task,) = transform(batch, 0)
        return video.mean(dim=(1, 2, 3, 4)).tolist(), task.targets.tolist()


def test_groups_that_are_mixed_do_not_depend_on_processes(tmp_path: Path) -> None:
    (alone,) = together(mixed_alone_or_together, tmp_path)
    both = together(mixed_alone_or_together, tmp_path, world=2)
    assert [outcome.words for outcome in (alone, *both)] == ["", "", ""]
    for whole, *parts in zip(alone.value, *(outcome.value for outcome in both), strict=True):
        for rank, part in enumerate(parts):
            torch.testing.assert_close(torch.tensor(part), torch.tensor(whole)[rank::2])
    assert (torch.tensor(alone.value[1]) > 0).sum() > 7  # some clips did meet another


def test_more_processes_than_gpus_are_said(filmed: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    for gpus in (0, 2):
        monkeypatch.setattr("torch.cuda.device_count", lambda gpus=gpus: gpus)
        check_processes(filmed.train)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(ValueError, match=r"^2 processes were started, and 1 GPU is here; .*--nproc-per-node=1"):
        check_processes(filmed.train)
    with pytest.raises(ValueError, match=r"^2 processes were started, and 1 GPU is here"), joined():
        pass


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(("kind", "remedy"), [("cuda", "float16"), ("cpu", "float32")])
def test_a_device_that_imitates_bfloat16_is_said(
    kind: str,
    remedy: str,
    fast: bool,
    filmed: Recipe,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Found:
        device = torch.device(kind)

        def launch(self) -> None:
            pass

    monkeypatch.setattr("crossframe.train.launch.Fabric", lambda **_: Found())
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: fast)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": fast})
    launch(replace(filmed.train, precision="float32"), [])
    assert not caplog.records
    launch(replace(filmed.train, precision="bfloat16"), [])
    assert [f"set train.precision={remedy}" in record.message for record in caplog.records] == [True] * (not fast)


def test_a_batch_that_cannot_be_divided_is_said(filmed: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "4"), ("LOCAL_WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=r"train\.batch_size is 2 over 4 processes; use a multiple of 4"):
        check_processes(filmed.train)
