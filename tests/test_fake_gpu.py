"""On a fake GPU: every tensor is where it belongs, results are those of the processor, and steps never wait.

Each check runs in a process of its own, for torch keeps the device.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.accelerators.cpu import CPUAccelerator
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.strategies.single_device import SingleDeviceStrategy
from torch import Tensor

import crossframe
from crossframe import distributed as distributed_module
from crossframe.data.batch import Batch, TrainBatch, classification
from crossframe.data.manifest import read_manifest
from crossframe.data.reader import Sampling
from crossframe.distributed import Processes
from crossframe.evaluate.evaluate import Setting, evaluate_manifest
from crossframe.recipes.load import load_recipe
from crossframe.recipes.schema import Recipe, Train
from crossframe.recognizer import Recognizer
from crossframe.train import run as run_module
from crossframe.train.build import from_scratch
from crossframe.train.launch import Replicas
from crossframe.train.loop import Loop, StepReport
from crossframe.train.transform import TrainTransform
from crossframe.video.mixing import Mixup
from tests.data.dataset import write_dataset
from tests.evaluate.world import small_model
from tests.train.many import Kill, together, train_and_tell

LABELS = ["walking", "running", "jumping"]


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of two sizes, and a broken one."""
    return write_dataset(tmp_path_factory.mktemp("filmed") / "clips")


@pytest.fixture(scope="module")
def scratch(filmed: Path) -> Recipe:
    """Both towers learn, from nothing, and all that is drawn for a step is drawn."""
    small = json.dumps(asdict(load_recipe("shapes", tiny=True).model.towers))
    changes = ["init=null", f"model.towers={small}", "model.frames=2", "model.drop_path=0.2", "train.rates.muon=1e-3"]
    changes += ["train.epochs=1", "train.accumulate=2", "train.mix={}", "train.average=0.9", "train.clip_norm=1"]
    changes += ["train.checkpoint_blocks=true"]
    return _small(filmed, *changes)


def _small(clips: Path, *changes: str) -> Recipe:
    common = [f"data.source={clips}", "train.threads=1", "train.batch_size=2", "train.warmup_epochs=0"]
    common += ["train.augment={}", "train.save_every=1", "train.rates.eps=1e-4"]
    return load_recipe("finetune", ["data.hold_out=0", *common, *changes], tiny=True)


def test_the_fake_gpu_refuses_what_a_gpu_refuses_and_counts_what_waits_for_it() -> None:
    (done,) = together(use_fake_gpu)
    assert done.words == ""


def use_fake_gpu() -> None:
    from tests.fake_gpu import FAKE_GPU, FakeGPU

    with FakeGPU() as gpu:
        there, here = torch.ones(2, 3, device=FAKE_GPU), torch.ones(2, 3)
        for mixed in (lambda: there + here, lambda: there @ here.T, lambda: torch.cat([there, here])):
            with pytest.raises(RuntimeError, match="same device"):
                mixed()
        assert not gpu.waits
        (there * 2 + here.to(FAKE_GPU, non_blocking=True)).sum()
        assert not gpu.waits
        waiting = (there.sum().item, there.tolist, there.cpu, lambda: here.to(FAKE_GPU), lambda: there[there > 0])
        for count, wait in enumerate((*waiting, lambda: torch.tensor([1, 2], device=FAKE_GPU)), 1):
            wait()
            assert gpu.waits.total() == count


def test_a_run_is_that_on_the_processor_and_its_steps_never_wait(scratch: Recipe, tmp_path: Path) -> None:
    (here,) = together(train_and_tell, scratch, tmp_path / "here")
    (there,) = together(train_on_fake_gpu, scratch, tmp_path / "there")
    assert [here.words, there.words] == ["", ""]
    assert len(here.value["losses"]) == 3
    assert there.value["losses"] == pytest.approx(here.value["losses"], abs=1e-4)
    assert there.value["waits"][1:] == [{}] * 2  # before the first step, labels become tokens


def test_a_run_near_its_start_goes_on_after_a_kill(filmed: Path, tmp_path: Path) -> None:
    """Its text encoder is frozen, and nothing is mixed."""
    crossframe.save(from_scratch(load_recipe("shapes", tiny=True).model), tmp_path / "start")
    changes = [f"init={tmp_path / 'start'}", 'train.learn=["vision"]', "train.interpolate={}", "train.distill={}"]
    recipe = _small(filmed, *changes, "train.epochs=1", "train.batch_size=3", "train.average=epochs")
    (here,) = together(train_and_tell, recipe, tmp_path / "here")
    (killed,) = together(train_on_fake_gpu, recipe, tmp_path / "there", kill=[Kill(step=1)])
    (there,) = together(train_on_fake_gpu, recipe, tmp_path / "there")
    assert [here.words, killed.code, there.words] == ["", -9, ""]
    assert len(here.value["losses"]) == 3
    assert there.value["losses"] == pytest.approx(here.value["losses"][-len(there.value["losses"]) :], abs=1e-4)
    assert not any(there.value["waits"][1:])


def train_on_fake_gpu(recipe: Recipe, out: Path) -> dict[str, Any]:
    """As `train_and_tell`, and what each step waited for."""
    from tests.fake_gpu import FAKE_GPU, FakeGPU

    class Accelerator(CPUAccelerator):
        def setup_device(self, device: torch.device) -> None:
            assert device == FAKE_GPU

    def launch(train: Train, loggers: list[Logger]) -> Fabric:
        return Fabric(strategy=SingleDeviceStrategy(FAKE_GPU, Accelerator()), loggers=loggers)

    run, waits = Loop.run, []

    def watched(loop: Loop, *given: Any) -> Iterator[StepReport]:
        assert {p.device for p in loop.model.parameters()} == {FAKE_GPU}
        steps = run(loop, *given)
        while True:
            gpu.waits.clear()
            report = next(steps, None)
            if report is None:
                return
            waits.append(dict(gpu.waits))
            yield report

    run_module.launch = launch
    Loop.run = watched
    with FakeGPU() as gpu:
        return train_and_tell(recipe, out) | {"waits": waits}


def test_recognition_and_evaluation_are_those_on_the_processor(filmed: Path, tiny_folder: Path) -> None:
    (done,) = together(recognize_on_fake_gpu, filmed, tiny_folder)
    assert done.words == ""


def recognize_on_fake_gpu(clips: Path, folder: Path) -> None:
    from tests.fake_gpu import FAKE_GPU, FakeGPU

    videos = [path for path in sorted(clips.rglob("*.mp4")) if path != clips / "jumping/1.mp4"]
    here = crossframe.load(folder, device="cpu")
    known = Recognizer(here).classify(videos, LABELS)
    with FakeGPU() as gpu:
        there = crossframe.load(folder, device=FAKE_GPU)
        assert there.device == FAKE_GPU
        for precision, atol in (("float32", 1e-5), ("bfloat16", 0.05)):
            found = Recognizer(there, precision=precision, workers=0).classify(videos, LABELS)
            for one, other in zip(found, known, strict=True):
                torch.testing.assert_close(one.scores, other.scores, atol=atol, rtol=0)
        recognizer = Recognizer(there, workers=0)
        recognizer.classify(videos, LABELS)
        gpu.waits.clear()
        recognizer.classify(videos, LABELS)
        assert gpu.waits == {"copy from the fake GPU": 1, "aten._local_scalar_dense.default": 1}  # scores, their scale
        embedded = Recognizer(there, workers=0).embed_videos(videos[:2])
        torch.testing.assert_close(embedded, Recognizer(here).embed_videos(videos[:2]), atol=1e-5, rtol=0)
        reasons = Recognizer(there).explain(videos[0], LABELS, label=LABELS[1])
    known_reasons = Recognizer(here).explain(videos[0], LABELS, label=LABELS[1])
    for name in ("places", "without", "evidence", "attention"):
        one, other = getattr(reasons, name), getattr(known_reasons, name)
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
    assert reasons.to_dict()["explained"]["messages"].keys() == {"attention", "heard", "without", "evidence"}
    setting = Setting(Sampling(4, views=2), crops=3, precision="bfloat16")
    expected = evaluate_manifest(here, read_manifest(clips), setting)
    with FakeGPU():
        result = evaluate_manifest(there, read_manifest(clips), setting)
    assert [row.error for row in result.results] == [row.error for row in expected.results]
    assert result.counts.top1 == expected.counts.top1


def test_processes_hand_over_what_is_on_the_gpu_to_each_other(tmp_path: Path) -> None:
    (done,) = together(exchange_on_fake_gpu)
    assert done.words == ""


def exchange_on_fake_gpu() -> None:
    """NCCL, which connects the processes, takes tensors of a GPU only; gloo, for counts and objects, none of them."""
    from tests.fake_gpu import FAKE_GPU, FakeGPU

    seen: list[str] = []

    def check(what: str, tensor: Tensor, group: object = None) -> None:
        assert tensor.is_contiguous()
        assert tensor.device == (FAKE_GPU if group is None else torch.device("cpu")), what
        seen.append(what)

    def gather(values: list[Any], value: Any, group: object) -> None:
        assert group == "gloo"
        values[:] = [value, []]  # the other process has no clips

    def pass_on(received: Tensor, sent: Tensor, *_: object) -> None:
        check("received", received)
        check("sent", sent)
        received.copy_(sent)

    def new_group(backend: str, timeout: timedelta) -> str:
        return backend

    distributed_module.this_process = lambda: (0, 2)
    distributed_module.dist.new_group = new_group
    distributed_module.dist.TCPStore = lambda *_, **__: None
    distributed_module.os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="1")
    torch.distributed.all_reduce = lambda tensor, group=None: check("sum", tensor, group)
    torch.distributed.all_gather_object = gather
    torch.distributed.all_to_all_single = pass_on
    torch.distributed.broadcast = lambda tensor, source: check("broadcast", tensor)
    with FakeGPU():
        processes = Processes()
        model = small_model().to(FAKE_GPU)
        Replicas().setup_module(model)
        parameters = list(model.parameters())
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        assert processes.sum(3, 4) == [3, 4]
        Loop._reduce(partial_loop(processes), torch.ones((), device=FAKE_GPU), parameters, 2)
        transform = TrainTransform(model, None, Mixup(), processes=processes)
        video, tasks = transform(drawn(), 0)
        assert {video.device, tasks[0].targets.device} == {FAKE_GPU}
    assert set(seen) == {"sum", "received", "sent", "broadcast"}
    assert seen.count("broadcast") == len(parameters)


def partial_loop(processes: Processes) -> Any:
    """What `_reduce` needs of a loop."""
    return type("Loop", (), {"processes": processes, "scale": None})()


def drawn() -> TrainBatch:
    videos = torch.randint(0, 256, (3, 4, 3, 32, 40), dtype=torch.uint8)
    return classification(Batch(videos, torch.arange(3), torch.arange(3)), LABELS)
