"""The configuration of a model: frozen dataclasses, and the paper's variants by name; and the size of its frames."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

Activation = Literal["quick_gelu", "gelu", "gelu_tanh", "silu", "relu"]
Mixing = Literal["cross_frame", "none", "joint"]
BlockKind = Literal["plain", "gated", "scaled"]
Projection = Literal["matrix", "biased", "none"]
Resize = Literal["bicubic", "bicubic_smooth", "bilinear", "bilinear_smooth"]
Box: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom in pixels, the last two excluded
C = TypeVar("C")

# What other families need and CLIP does not: `to_dict` leaves it out where it has CLIP's value.
# fmt: off
BEYOND_CLIP = frozenset([
    "block", "class_token", "registers", "rotary", "stem_widths", "pool", "projection", "resize", "message_from",
    "causal", "read", "end_id", "positions", "embed_scale", "logit_bias",
])
# fmt: on


def resized(width: int, height: int, short_side: int) -> tuple[int, int]:
    """The size whose short side is `short_side`, in the same proportions; each side is rounded to the nearest pixel.

    >>> resized(1280, 720, 256)
    (455, 256)
    """
    factor = short_side / min(width, height)
    return int(width * factor + 0.5), int(height * factor + 0.5)


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
class PoolConfig:
    """Attention pooling: a learned query reads a frame's tokens, and an MLP follows."""

    heads: int
    mlp_width: int


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """The image encoder, a ViT. `mixing` is how its blocks mix information between frames.

    `cross_frame`: through message tokens (the paper). `none`: not at all. `joint`: by full attention over all tokens of
    all frames. `pre_norm` and `patch_bias` tell CLIP's ViT (True, False) from the ImageNet one (False, True).
    `message_frames`: how many learned positions in time the message tokens have; 0, as in the paper, for none.

    The other fields are those of other families (docs/families.md), at CLIP's values by default. `block`: plain, gated
    MLP with inner norms (EVA-02), or layer scale (DINOv2). `class_token`: with a position of its own, without one
    (unplaced), or none. `registers`: further tokens without a position. `rotary`: positions that also turn queries
    and keys, in PE's or EVA-02's order. `stem_widths`: of convolutions before the patches. `pool`: how a frame is read;
    None for the class token. `resize`: how positions become those of another grid. `message_from`: what a frame's
    message is made of, its class token or the mean of its patches.
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
    block: BlockKind = "plain"
    class_token: Literal["placed", "unplaced", "none"] = "placed"
    registers: int = 0
    rotary: Literal["none", "pe", "eva"] = "none"
    stem_widths: tuple[int, ...] = ()
    pool: PoolConfig | None = None
    projection: Projection = "matrix"
    resize: Resize = "bicubic"
    message_from: Literal["class", "patches"] = "class"

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
        self._check_family()

    def _check_family(self) -> None:
        if self.pool is not None:
            _check_sizes("vision pool", mlp_width=self.pool.mlp_width)
            _check_heads("vision pool", self.width, self.pool.heads)
        if self.class_token == "none" and (self.pool is None or self.registers or self.message_from == "class"):
            raise ConfigError("vision: without a class token, give a pool, no registers, and message_from='patches'")
        if self.registers < 0 or (self.rotary != "none" and self.width // self.heads % 4):
            raise ConfigError("vision: registers are 0 or more, and rotary positions need heads of a multiple of 4")
        if self.stem_widths and (len(self.stem_widths) != 2 or self.patch_size != 16 or min(self.stem_widths) < 1):
            raise ConfigError(f"vision: a stem has two widths and patches of 16, not {self.stem_widths}")

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch_size

    @property
    def first_tokens(self) -> int:
        """Tokens before the patches: class token and registers."""
        return (self.class_token != "none") + self.registers


@dataclass(frozen=True, slots=True)
class TextConfig:
    """The text encoder, a causal transformer read out at the end-of-text token (the largest id).

    `learned_vectors`: how many trained vectors stand between the start token and the label (CoOp); 0 for none.

    Other families read the first `end_id`, the last place (which they pad up to), or the mean of all that is not
    padding (0). `positions` are learned or fixed sines; `embed_scale` multiplies the embeddings before they are added.
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
    causal: bool = True
    read: Literal["largest", "end", "last", "mean"] = "largest"
    end_id: int = 0
    positions: Literal["learned", "sines"] = "learned"
    embed_scale: float = 1.0
    projection: Projection = "matrix"

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

    @property
    def attends_padding(self) -> bool:
        """True where padding changes what a text means, so that tokens must fill the context."""
        return not self.causal and self.read != "mean"

    @property
    def has_start(self) -> bool:
        """True where texts begin with a start token, after which learned vectors stand."""
        return self.read in ("largest", "end")


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

    A model has either a text encoder or, with `num_classes`, a linear head over a closed set of labels. `logit_bias`:
    for families trained with a sigmoid, which adds a number to every logit.
    """

    vision: VisionConfig
    text: TextConfig | None
    embed_dim: int = 512
    num_frames: int = 8
    mit: MultiFrameConfig | None = None
    prompts: PromptConfig | None = None
    num_classes: int | None = None
    logit_bias: bool = False

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
        for part, tower in (("vision", self.vision), ("text", self.text)):
            if tower is not None and tower.projection == "none" and tower.width != self.embed_dim:
                raise ConfigError(f"{part}: width {tower.width} without a projection is not embed_dim {self.embed_dim}")
        for part, module in (("mit", self.mit), ("prompts", self.prompts)):
            if module is not None:
                _check_sizes(part, layers=module.layers, mlp_width=module.mlp_width)
                _check_heads(part, self.embed_dim, module.heads)
                _check_eps(part, module.norm_eps)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `from_dict` gives the config back."""
        return _to_dict(self)

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


def _to_dict(config: Any) -> dict[str, Any]:
    values = {field.name: (getattr(config, field.name), field.default) for field in fields(config)}
    told = {name: own for name, (own, usual) in values.items() if name not in BEYOND_CLIP or own != usual}
    return {name: _to_dict(value) if is_dataclass(value) else value for name, value in told.items()}


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
    if get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        return tuple(_convert(int, item, where) for item in value)
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
