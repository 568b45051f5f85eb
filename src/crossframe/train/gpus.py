"""GPUs that are not here: their memory, and what is known of their speed.

Torch is not needed, so that a device which is unknown is said at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from crossframe.recipes.schema import Recipe, Train

USED = 0.35  # of a published rate, which training of transformers reaches as a rule
TERA = 1e12


@dataclass(frozen=True, slots=True)
class Device:
    """A kind of GPU: matrix products in 10^12 operations a second, without sparsity, with 16-bit and with 32-bit
    numbers; and GB of memory."""

    half: float
    single: float
    memory: float
    has_bfloat16: bool = True


# From NVIDIA's data sheets of each: "Tensor Core" rates of FP16 or BF16 (halved where only those with sparsity are
# given), FP32 without tensor cores, which is how torch computes float32 unless told otherwise, and memory.
DEVICES = {
    "t4": Device(65, 8.1, 16, has_bfloat16=False),
    "v100": Device(125, 15.7, 32, has_bfloat16=False),
    "a10": Device(125, 31.2, 24),
    "l4": Device(121, 30.3, 24),
    "l40s": Device(362, 91.6, 48),
    "a100-40": Device(312, 19.5, 40),
    "a100": Device(312, 19.5, 80),
    "h100": Device(989, 67, 80),
    "h200": Device(989, 67, 141),
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """`count` devices of one kind."""

    name: str
    device: Device
    count: int

    @classmethod
    def of(cls, text: str) -> Cluster:
        """`a100x8` means eight; raises ValueError for a device that is not in the table."""
        found = re.fullmatch(r"(?P<name>.+?)(?:x(?P<count>[1-9]\d*))?", text.strip().lower())
        if found is None or found["name"] not in DEVICES:
            known = f"{', '.join(DEVICES)}, and a100x8 for eight of one kind"
            raise ValueError(f"device {text!r} is unknown; known are {known}")
        return cls(found["name"], DEVICES[found["name"]], int(found["count"] or 1))

    def with_precision(self, recipe: Recipe) -> Recipe:
        """The recipe with the precision that `auto` is there. Raises ValueError for one that the devices lack."""
        given, fast = recipe.train.precision, "bfloat16" if self.device.has_bfloat16 else "float16"
        if given == "bfloat16" and fast != given:
            raise ValueError(f"a {self.name} has no bfloat16 in hardware; add --set train.precision=float16")
        return replace(recipe, train=replace(recipe.train, precision=fast if given == "auto" else given))

    def clips_per_second(self, train: Train, flops: float) -> float:
        """Clips trained in a second, at `flops` operations a clip."""
        rate = self.device.single if train.precision == "float32" else self.device.half
        return self.count * USED * rate * TERA / flops
