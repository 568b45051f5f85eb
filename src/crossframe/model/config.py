"""What a model is made of: frozen dataclasses, and the paper's variants by name."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, get_args, get_type_hints

Activation = Literal["quick_gelu", "gelu", "gelu_tanh", "silu"]
Mixing = Literal["cross_frame", "none", "joint"]
C = TypeVar("C")


class ConfigError(ValueError):
    """An impossible configuration; the message names the value and the remedy."""


def _check_heads(part: str, width: int, heads: int) -> None:
    if heads < 1 or width % heads:
        raise ConfigError(f"{part}: width {width} cannot be split over {heads} heads; choose a divisor of {width}")


def _check_eps(part: str, eps: float) -> None:
    if not 0.0 < eps < 1.0:
        raise ConfigError(f"{part}: norm_eps is {eps}; it must be between 0 and 1, such as 1e-5")


def _check_sizes(part: str, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ConfigError(f"{part}: {name} is {size}; it must be 1 or more")


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """The image encoder, a ViT. `mixing` is how its blocks mix information between frames.

    `cross_frame`: through message tokens (the paper). `none`: not at all. `joint`: by full attention over all tokens of
    all frames. `pre_norm` and `patch_bias` tell CLIP's ViT (True, False) from the ImageNet one (False, True).
    `message_frames`: how many learned positions in time the message tokens have; 0, as in the paper, for none.
    """

    image_size: int = 224
    patch_size: int = 32
    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp_width: int = 3072
    activation: Activation = "quick_gelu"
    norm_eps: float = 1e-5
    pre_norm: bool = True
    patch_bias: bool = False
    mixing: Mixing = "cross_frame"
    message_frames: int = 0
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        _check_sizes("vision", patch_size=self.patch_size, image_size=self.image_size, width=self.width)
        _check_sizes("vision", layers=self.layers, mlp_width=self.mlp_width)
        _check_eps("vision", self.norm_eps)
        _check_heads("vision", self.width, self.heads)
        if self.image_size % self.patch_size:
            raise ConfigError(f"vision: image size {self.image_size} is not a multiple of patch size {self.patch_size}")
        if self.message_frames < 0 or (self.message_frames and self.mixing != "cross_frame"):
            raise ConfigError(
                f"vision: message_frames is {self.message_frames} and mixing {self.mixing}; only messages of "
                "cross_frame have positions in time, 0 for none"
            )
        if not 0.0 <= self.drop_path < 1.0:
            raise ConfigError(f"vision: drop_path {self.drop_path} is not in [0, 1)")

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch_size


@dataclass(frozen=True, slots=True)
class TextConfig:
    """The text encoder, a causal transformer read out at the end-of-text token (the largest id).

    `learned_vectors`: how many trained vectors stand between the start token and the label (CoOp); 0 for none.
    """

    vocab_size: int = 49408
    context_length: int = 77
    width: int = 512
    layers: int = 12
    heads: int = 8
    mlp_width: int = 2048
    activation: Activation = "quick_gelu"
    norm_eps: float = 1e-5
    learned_vectors: int = 0

    def __post_init__(self) -> None:
        _check_sizes("text", vocab_size=self.vocab_size, width=self.width, layers=self.layers, mlp_width=self.mlp_width)
        _check_heads("text", self.width, self.heads)
        _check_eps("text", self.norm_eps)
        if self.context_length < 3:
            raise ConfigError(
                f"text: a context_length of {self.context_length} leaves no room for text between start and end; use 3 "
                "or more"
            )
        if not 0 <= self.learned_vectors <= self.context_length - 3:
            raise ConfigError(
                f"text: {self.learned_vectors} learned vectors leave no room in {self.context_length} tokens"
            )


@dataclass(frozen=True, slots=True)
class MultiFrameConfig:
    """The multi-frame integration transformer (MIT). The authors' rule for `heads` is one for each 64 of E."""

    layers: int = 1
    heads: int = 8
    mlp_width: int = 2048
    activation: Activation = "quick_gelu"
    norm_eps: float = 1e-5


@dataclass(frozen=True, slots=True)
class PromptConfig:
    """The video-specific prompts. The authors' rule for `heads` is one for each 64 of E."""

    layers: int = 2
    heads: int = 8
    mlp_width: int = 2048
    alpha: float = 0.1
    activation: Activation = "quick_gelu"
    norm_eps: float = 1e-5


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A whole model. `mit=None` is the mean of frames, `prompts=None` leaves the labels alone.

    A model has either a text encoder or, with `num_classes`, a linear head over a closed set of labels.
    """

    vision: VisionConfig
    text: TextConfig | None
    embed_dim: int = 512
    num_frames: int = 8
    mit: MultiFrameConfig | None = None
    prompts: PromptConfig | None = None
    num_classes: int | None = None

    def __post_init__(self) -> None:
        if self.num_frames < 1:
            raise ConfigError(f"num_frames is {self.num_frames}; a clip has at least one frame")
        if (self.text is None) == (self.num_classes is None):
            raise ConfigError("a model has either a text encoder or num_classes for a linear head: give exactly one")
        if self.prompts is not None and self.text is None:
            raise ConfigError(
                "video-specific prompts need a text encoder; leave them out of a model with a linear head"
            )
        _check_sizes("joint space", embed_dim=self.embed_dim)
        for part, module in (("mit", self.mit), ("prompts", self.prompts)):
            if module is not None:
                _check_sizes(part, layers=module.layers, mlp_width=module.mlp_width)
                _check_heads(part, self.embed_dim, module.heads)
                _check_eps(part, module.norm_eps)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `from_dict` gives the config back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The config that `to_dict` wrote. Raises `ConfigError` on unknown, missing or mistyped entries."""
        return _from_dict(cls, values, "config")


def new_parts(embed_dim: int, *, mit_layers: int = 1, prompt_layers: int = 2) -> tuple[MultiFrameConfig, PromptConfig]:
    """The paper's multi-frame and prompt modules for a joint space of `embed_dim`: heads of 64, MLP of 4 E."""
    heads, mlp_width = max(1, embed_dim // 64), 4 * embed_dim
    return (
        MultiFrameConfig(layers=mit_layers, heads=heads, mlp_width=mlp_width),
        PromptConfig(layers=prompt_layers, heads=heads, mlp_width=mlp_width),
    )


_BASE_TEXT = TextConfig()
_LARGE_TEXT = TextConfig(width=768, heads=12, mlp_width=3072)
_LARGE_VISION = VisionConfig(patch_size=14, width=1024, layers=24, heads=16, mlp_width=4096)
_TOWERS: dict[str, tuple[VisionConfig, TextConfig, int]] = {
    "B/32": (VisionConfig(patch_size=32), _BASE_TEXT, 512),
    "B/16": (VisionConfig(patch_size=16), _BASE_TEXT, 512),
    "L/14": (_LARGE_VISION, _LARGE_TEXT, 768),
    "L/14@336": (replace(_LARGE_VISION, image_size=336), _LARGE_TEXT, 768),
}
VARIANTS = tuple(_TOWERS)


def variant(name: str, num_frames: int = 8) -> ModelConfig:
    """A variant of the paper (section 4.1) by name: B/32, B/16, L/14 or L/14@336, with all three ideas."""
    if name not in _TOWERS:
        raise ConfigError(f"no variant is called '{name}'; the paper's are {', '.join(VARIANTS)}")
    vision, text, embed_dim = _TOWERS[name]
    mit, prompts = new_parts(embed_dim)
    return ModelConfig(vision, text, embed_dim, num_frames, mit, prompts)


def variant_of(config: ModelConfig) -> str | None:
    """The name of the paper's variant that has this shape, with any number of frames; None for other models."""
    for name in VARIANTS:
        plain = variant(name, config.num_frames)
        if config == replace(plain, vision=replace(plain.vision, drop_path=config.vision.drop_path)):
            return name
    return None


def _from_dict(cls: type[C], values: object, where: str) -> C:
    if not isinstance(values, dict):
        raise ConfigError(f"{where} is {values!r}; expected an object with the fields of {cls.__name__}")
    hints = get_type_hints(cls)
    names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - names):
        raise ConfigError(f"{where} has unknown entries {unknown}; known are {sorted(names)}")
    try:
        return cls(**{name: _convert(hints[name], value, f"{where}.{name}") for name, value in values.items()})
    except TypeError as error:
        raise ConfigError(f"{where} is incomplete: {error}") from None


def _convert(hint: Any, value: object, where: str) -> object:
    options = get_args(hint) or (hint,)
    for option in options:
        if is_dataclass(option) and isinstance(option, type) and value is not None:
            return _from_dict(option, value, where)
        if option is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if isinstance(option, str) and value == option:
            return value
        if isinstance(option, type) and type(value) is option:
            return value
    raise ConfigError(f"{where} is {value!r}; expected {hint if get_args(hint) else hint.__name__}")
