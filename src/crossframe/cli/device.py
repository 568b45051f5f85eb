"""What `--device` takes: the devices of this machine."""

from __future__ import annotations

import torch


def devices() -> list[torch.device]:
    """The CPU, every CUDA GPU, and Apple's GPU."""
    found = [torch.device("cpu")]
    found += [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return found + ([torch.device("mps")] if torch.backends.mps.is_available() else [])


def choose_device(name: str) -> torch.device:
    """The device called `name`, for instance `cuda:1`; a type without a number is the first of its kind.

    Raises ValueError, which names those that there are.
    """
    names = dict.fromkeys(name for device in devices() for name in (device.type, str(device)))
    if name not in names:
        raise ValueError(f"device '{name}' is not available here; choose {' or '.join(names)}")
    return torch.device(name)
