"""Record the learning rates of whole runs from timm's own scheduler, used as the authors' loop uses it.

    pip install --no-deps --target TIMM timm==0.4.12
    python scripts/record_rates.py TIMM tests/golden/lr_schedule_timm.json

timm as a whole needs torchvision; its scheduler needs torch alone, and is loaded alone. Every run has the sizes of one
of the paper's, and as long runs have many steps, some of them are kept.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

RUNS = {  # epochs, batches of an epoch, rate, batches of a step
    "k400": (30, 937, 8e-6, 1),
    "k600": (30, 1523, 8e-6, 1),
    "zero-shot": (10, 937, 8e-6, 1),
    "hmdb51-few-shot, 2 clips": (50, 1, 2e-6, 1),
    "ucf101-few-shot, 16 clips": (50, 25, 2e-6, 1),
    "k400 in steps of 4 batches": (30, 3750, 8e-6, 4),
}
WARMUP_EPOCHS = 5
KEPT = 150  # steps of a run, spread evenly, beside its first and last and those where the warm-up ends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("timm", type=Path, help="the folder that timm was installed into")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    cosine = cosine_scheduler(arguments.timm)
    runs = {name: recorded(cosine, *sizes) for name, sizes in RUNS.items()}
    version = next(arguments.timm.glob("timm-*.dist-info")).name.removeprefix("timm-").removesuffix(".dist-info")
    arguments.out.write_text(json.dumps({"timm": version, "warmup_epochs": WARMUP_EPOCHS, "runs": runs}) + "\n")


def cosine_scheduler(folder: Path) -> Any:
    """timm's CosineLRScheduler, without the rest of timm."""
    for name in ("timm", "timm.scheduler"):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(folder / name.replace(".", "/"))]
    module = importlib.import_module("timm.scheduler.cosine_lr")
    return module.CosineLRScheduler


def recorded(cosine: Any, epochs: int, batches: int, base: float, accumulate: int) -> dict[str, Any]:
    """The rates that each kept optimizer step of a run has used, for pretrained and for new parameters."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": base * factor} for factor in (1, 10)]
    optimizer = torch.optim.SGD(groups)
    schedule = cosine(
        optimizer,
        t_initial=epochs * batches,
        lr_min=base / 100,
        warmup_lr_init=0,
        warmup_t=WARMUP_EPOCHS * batches,
        cycle_limit=1,
        t_in_epochs=False,
    )
    used: list[list[float]] = []
    for epoch in range(epochs):
        for index in range(batches):
            if (index + 1) % accumulate == 0:
                used.append([group["lr"] for group in optimizer.param_groups])  # here the optimizer steps
                schedule.step_update(epoch * batches + index)
    warm = WARMUP_EPOCHS * (batches // accumulate)
    kept = {0, 1, 2, *range(warm - 2, warm + 3), len(used) - 1, *range(0, len(used), max(1, len(used) // KEPT))}
    return {
        "epochs": epochs,
        "batches": batches,
        "base": base,
        "accumulate": accumulate,
        "steps": len(used),
        "rates": {str(step): used[step] for step in sorted(kept)},
    }


if __name__ == "__main__":
    main()
