"""Fixtures that every test may use."""

from __future__ import annotations

import importlib
import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import crossframe
from crossframe.model.config import ModelConfig, MultiFrameConfig, PromptConfig, TextConfig, VisionConfig
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.text.tokenizer import Tokenizer

GOLDEN = Path(__file__).parent / "golden"
SHARED = Path(__file__).parents[2] / "shared"

# A shell has what runs in its background ignore Ctrl-C, which tests send to the commands that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """On the first import after an installation, yapf (which mmengine imports) writes its grammar to the user's cache.

    Workers that import it at the same moment would read half a file: so it is done once, before they start.
    """
    if not hasattr(config, "workerinput"):
        importlib.import_module("yapf")


@pytest.fixture
def golden() -> Path:
    """The folder of reference numbers from the authors' code that a fresh clone carries."""
    return GOLDEN


@pytest.fixture
def shared() -> Path:
    """The folder of real clips and the full reference data, where it stands beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the folder of real clips and full reference data is not beside this checkout")
    return SHARED


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Every test starts from the same random state and leaves none behind."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """What a command does to the log ends with the test that ran it."""
    log = logging.getLogger("crossframe")
    handlers, level = log.handlers, log.level
    yield
    log.handlers = handlers
    log.setLevel(level)


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    """All three ideas in a model that computes in milliseconds, with CLIP's vocabulary."""
    return ModelConfig(
        vision=VisionConfig(image_size=32, patch_size=8, width=32, layers=2, heads=2, mlp_width=64),
        text=TextConfig(width=32, layers=2, heads=2, mlp_width=64),
        embed_dim=32,
        num_frames=4,
        mit=MultiFrameConfig(layers=1, heads=2, mlp_width=64),
        prompts=PromptConfig(layers=2, heads=2, mlp_width=64),
    )


@pytest.fixture(scope="session")
def tiny_folder(tiny_config: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder of a small model whose scores differ clearly between labels."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = XCLIP(tiny_config, tokenizer=Tokenizer.clip(), preprocess=Preprocess.xclip(size=32))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        torch.nn.init.constant_(model.logit_scale, 3.0)
    crossframe.save(model, folder)
    return folder
