"""Image encoders that open_clip takes from timm, by their names there.

open_clip's files name a trunk and do not describe it. What its tensors' shapes do not tell (heads, activation, epsilon
of the norms, rotary positions) is in timm's registry alone, and here.
"""

from __future__ import annotations

import re
from typing import Any

from crossframe.weights.errors import WeightsError

_HEADS = {"tiny": 3, "small": 6, "base": 12, "large": 16, "so400m": 16, "huge": 16, "giantopt": 16, "gigantic": 16}

_SIGLIP = {"norm_eps": 1e-6, "resize": "bicubic_smooth"}
_CLIP = {"norm_eps": 1e-5, "resize": "bicubic_smooth"}
# A pattern for names, whose group is the size, and the fields of `VisionConfig`; the first that matches counts.
_TRUNKS: tuple[tuple[str, dict[str, Any]], ...] = (
    # Which GELU a SigLIP has differs from size to size.
    (r"vit_(base)_patch32_siglip_256", _SIGLIP | {"activation": "gelu_tanh"}),
    (r"vit_(large)_patch16_siglip_512", _SIGLIP | {"activation": "gelu_tanh"}),
    (r"vit_(so400m)_patch16_siglip_\d+", _SIGLIP | {"activation": "gelu_tanh"}),
    (r"vit_(giantopt)_patch16_siglip_\d+", _SIGLIP | {"activation": "gelu_tanh"}),
    (r"vit_(base|large|so400m)_patch1[46]_siglip_\d+", _SIGLIP | {"activation": "gelu"}),
    # Away from the trained size, as Meta does: positions bilinear, rotary positions in whole steps.
    (
        r"vit_pe_core_(tiny|small|base|large|gigantic)_patch1[46]_\d+",
        {"norm_eps": 1e-5, "activation": "gelu", "rotary": "pe", "pool_heads": 8, "resize": "bilinear"},
    ),
    (
        r"eva02_(base|large)_patch1[46]_clip_\d+",
        {"norm_eps": 1e-6, "activation": "silu", "rotary": "eva", "resize": "bicubic_smooth"},
    ),
    (
        r"vit_(base)_mci_224",
        {"norm_eps": 1e-6, "activation": "gelu", "class_token": "unplaced", "resize": "bicubic_smooth"},
    ),
    (r"vit_(base|large|huge)_patch(?:14|16|32)_clip_\d+", _CLIP | {"activation": "gelu"}),
    (r"vit_(base|large|huge)_patch(?:14|16|32)_clip_quickgelu_\d+", _CLIP | {"activation": "quick_gelu"}),
)
# What is known and left out, with the reason.
_REFUSED = (
    (r"naflex.*", "NaFlex takes images of any shape, and this software works on squares of one size"),
    (r"aimv2.*", "AIMv2 has another block (RMS norms) and is not supported"),
    (r"(resnet|convnext|fastvit|mobilenet|vitamin).*", "it is convolutional; only vision transformers are supported"),
)


def vision_facts(name: str) -> dict[str, Any]:
    """The fields of `VisionConfig`, and `pool_heads`, that a trunk's shapes do not tell. Raises `WeightsError`."""
    plain = name.partition(".")[0]  # without the tag of its weights
    for pattern, facts in _TRUNKS:
        if match := re.fullmatch(pattern, plain):
            return facts | {"heads": _HEADS[match[1]]}
    for pattern, reason in _REFUSED:
        if re.fullmatch(pattern, plain):
            raise WeightsError(f"its image encoder is timm's {name!r}: {reason}")
    raise WeightsError(
        f"its image encoder is timm's {name!r}, which is unknown; known are those of SigLIP, SigLIP 2, PE-Core, "
        "EVA-02, MobileCLIP2-B and CLIP"
    )
