"""Foreign parameter names and ours, as tables: one for each layout that weights are published in.

A rule maps one parameter of ours to one of theirs, or to several that it is put together from. In names, {i} stands for
a layer's number and {w} for weight or bias. Every rule works in both directions (`convert.py`), except for those that
fold a batch norm. A parameter may have several rules, for names that differ between files of one layout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

# fmt: off
Change = Literal[
    "same",
    "transpose",
    "split",
    "no_key_bias",
    "query_apart",
    "fold_weight",
    "fold_bias",
    "minus_log",
    "one_in_front",
    "two_in_front",
]
# fmt: on


@dataclass(frozen=True, slots=True)
class Rule:
    """The names of one parameter in both layouts, and how its values differ.

    `transpose`: theirs is a linear layer's weight, ours a matrix that multiplies from the right. `split`: theirs are
    three, for queries, keys and values. `no_key_bias`: theirs are two biases, and the missing one, of keys, means
    zeros. `query_apart`: theirs are two, one for queries, one for keys and values. `fold_weight`, `fold_bias`: ours
    is a convolution into which the batch norm behind theirs is folded. `minus_log`: theirs is a temperature, ours the
    logarithm of what it divides by. `one_in_front`, `two_in_front`: theirs has leading dimensions of size one.
    """

    ours: str
    theirs: tuple[str, ...]
    change: Change = "same"


@dataclass(frozen=True, slots=True)
class Layout:
    """All names of one source.

    `sign` is a parameter that only this layout has. `extra` are tensors that it may hold and the model does not need.
    """

    name: str
    sign: str
    rules: tuple[Rule, ...]
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Relative:
    """Another model whose files resemble those that are read.

    `signs`: patterns, each found in the path of a tensor of the file. `verdict`: those that are a CLIP with something
    beside it can be asked for by their place, as the plain CLIP that they then are.
    """

    signs: tuple[str, ...]
    what: str
    remedy: str = ""
    verdict: Literal["refused", "refused unless named", "warned"] = "refused"


def same(ours: str, theirs: str) -> Rule:
    return Rule(ours, (theirs,))


def split(ours: str, theirs: str, parts: tuple[str, str, str] = ("q_proj", "k_proj", "v_proj")) -> Rule:
    return Rule(ours, tuple(theirs.replace("{qkv}", part) for part in parts), "split")


def within(ours: str, theirs: str, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules of a module, with its prefix in both layouts."""
    return tuple(replace(r, ours=ours + r.ours, theirs=tuple(theirs + name for name in r.theirs)) for r in rules)


_PROMPT_LAYER = (
    same("norm1.{w}", "norm1.{w}"),
    same("attention.q.weight", "cross_attn.q_proj.weight"),
    same("attention.k.weight", "cross_attn.k_proj.weight"),
    same("attention.v.weight", "cross_attn.v_proj.weight"),
    same("attention.out.{w}", "cross_attn.proj.{w}"),
    same("norm2.{w}", "norm3.{w}"),
    same("mlp.fc1.{w}", "mlp.0.{w}"),
    same("mlp.fc2.{w}", "mlp.3.{w}"),
)

_OPENAI_BLOCK = (
    same("norm1.{w}", "ln_1.{w}"),
    same("attention.qkv.{w}", "attn.in_proj_{w}"),
    same("attention.out.{w}", "attn.out_proj.{w}"),
    same("norm2.{w}", "ln_2.{w}"),
    same("mlp.fc1.{w}", "mlp.c_fc.{w}"),
    same("mlp.fc2.{w}", "mlp.c_proj.{w}"),
)

OPENAI_TEXT = (
    same("token_embed.weight", "token_embedding.weight"),
    same("position", "positional_embedding"),
    *within("blocks.{i}.", "transformer.resblocks.{i}.", _OPENAI_BLOCK),
    same("final_norm.{w}", "ln_final.{w}"),
    same("projection", "text_projection"),
)

OPENAI_TOWERS = (
    same("vision.patch_embed.weight", "visual.conv1.weight"),
    same("vision.class_token", "visual.class_embedding"),
    same("vision.position", "visual.positional_embedding"),
    same("vision.pre_norm.{w}", "visual.ln_pre.{w}"),
    *within("vision.blocks.{i}.", "visual.transformer.resblocks.{i}.", _OPENAI_BLOCK),
    same("vision.post_norm.{w}", "visual.ln_post.{w}"),
    same("vision.projection", "visual.proj"),
    *within("text.", "", OPENAI_TEXT),
    same("logit_scale", "logit_scale"),
)

OPENAI = Layout(
    "OpenAI",  # CLIP, the authors' X-CLIP, open_clip
    "visual.conv1.weight",
    (
        *OPENAI_TOWERS,
        same("vision.blocks.{i}.message.project.{w}", "visual.transformer.resblocks.{i}.message_fc.{w}"),
        same("vision.blocks.{i}.message.norm.{w}", "visual.transformer.resblocks.{i}.message_ln.{w}"),
        same(
            "vision.blocks.{i}.message.attention.qkv.{w}", "visual.transformer.resblocks.{i}.message_attn.in_proj_{w}"
        ),
        same(
            "vision.blocks.{i}.message.attention.out.{w}", "visual.transformer.resblocks.{i}.message_attn.out_proj.{w}"
        ),
        Rule("mit.position", ("mit.positional_embedding",), "one_in_front"),
        *within("mit.blocks.{i}.", "mit.resblocks.{i}.", _OPENAI_BLOCK),
        same("prompts.patch_norm.{w}", "prompts_visual_ln.{w}"),
        same("prompts.patch_projection", "prompts_visual_proj"),
        same("prompts.video_norm.{w}", "prompts_generator.norm.{w}"),
        *within("prompts.layers.{i}.", "prompts_generator.decoder.{i}.", _PROMPT_LAYER),
        same("prompts.alpha", "prompts_generator.alpha"),
    ),
    extra=(
        "input_resolution",
        "context_length",
        "vocab_size",
        "attn_mask",
        "transformer.resblocks.{i}.attn_mask",
    ),
)

_HF_BLOCK = (
    same("norm1.{w}", "layer_norm1.{w}"),
    split("attention.qkv.{w}", "self_attn.{qkv}.{w}"),
    same("attention.out.{w}", "self_attn.out_proj.{w}"),
    same("norm2.{w}", "layer_norm2.{w}"),
    same("mlp.fc1.{w}", "mlp.fc1.{w}"),
    same("mlp.fc2.{w}", "mlp.fc2.{w}"),
)

HF_TOWERS = (
    same("vision.patch_embed.{w}", "vision_model.embeddings.patch_embedding.{w}"),
    same("vision.class_token", "vision_model.embeddings.class_embedding"),
    same("vision.position", "vision_model.embeddings.position_embedding.weight"),
    *within("vision.blocks.{i}.", "vision_model.encoder.layers.{i}.", _HF_BLOCK),
    same("vision.post_norm.{w}", "vision_model.post_layernorm.{w}"),
    Rule("vision.projection", ("visual_projection.weight",), "transpose"),
    same("text.token_embed.weight", "text_model.embeddings.token_embedding.weight"),
    same("text.position", "text_model.embeddings.position_embedding.weight"),
    *within("text.blocks.{i}.", "text_model.encoder.layers.{i}.", _HF_BLOCK),
    same("text.final_norm.{w}", "text_model.final_layer_norm.{w}"),
    Rule("text.projection", ("text_projection.weight",), "transpose"),
    same("logit_scale", "logit_scale"),
)

HF_EXTRA = ("text_model.embeddings.position_ids", "vision_model.embeddings.position_ids")

HF_CLIP = Layout(
    "Hugging Face CLIP",
    "vision_model.pre_layrnorm.weight",  # their spelling
    (*HF_TOWERS, same("vision.pre_norm.{w}", "vision_model.pre_layrnorm.{w}")),
    HF_EXTRA,
)

HF_XCLIP = Layout(
    "Hugging Face X-CLIP",
    "vision_model.pre_layernorm.weight",
    (
        *HF_TOWERS,
        same("vision.pre_norm.{w}", "vision_model.pre_layernorm.{w}"),
        *within(
            "vision.blocks.{i}.message.",
            "vision_model.encoder.layers.{i}.",
            (
                same("project.{w}", "message_fc.{w}"),
                same("norm.{w}", "message_ln.{w}"),
                split("attention.qkv.{w}", "message_attn.{qkv}.{w}"),
                same("attention.out.{w}", "message_attn.out_proj.{w}"),
            ),
        ),
        Rule("mit.position", ("mit.position_embedding",), "one_in_front"),
        *within("mit.blocks.{i}.", "mit.encoder.layers.{i}.", _HF_BLOCK),
        same("prompts.patch_norm.{w}", "prompts_visual_layernorm.{w}"),
        same("prompts.patch_projection", "prompts_visual_projection"),
        same("prompts.video_norm.{w}", "prompts_generator.layernorm.{w}"),
        *within("prompts.layers.{i}.", "prompts_generator.decoder.{i}.", _PROMPT_LAYER),
        same("prompts.alpha", "prompts_generator.alpha"),
    ),
    HF_EXTRA,
)

TIMM_VIT_RULES = (
    same("patch_embed.{w}", "patch_embed.proj.{w}"),
    Rule("class_token", ("cls_token",), "two_in_front"),
    Rule("position", ("pos_embed",), "one_in_front"),
    *within(
        "blocks.{i}.",
        "blocks.{i}.",
        (
            same("norm1.{w}", "norm1.{w}"),
            same("attention.qkv.{w}", "attn.qkv.{w}"),
            same("attention.out.{w}", "attn.proj.{w}"),
            same("norm2.{w}", "norm2.{w}"),
            same("mlp.fc1.{w}", "mlp.fc1.{w}"),
            same("mlp.fc2.{w}", "mlp.fc2.{w}"),
        ),
    ),
    same("post_norm.{w}", "norm.{w}"),
)

TIMM_VIT = Layout(
    "timm ViT",
    "patch_embed.proj.weight",
    within("vision.", "", TIMM_VIT_RULES),
    extra=("head.{w}", "pre_logits.fc.{w}"),
)


def _hf_vit(
    name: str, layers: str, *, attention: str, qkv: tuple[str, str, str], out: str, fc1: str, fc2: str
) -> Layout:
    return Layout(
        name,
        f"{layers}.0.{fc1}.weight",
        (
            same("vision.patch_embed.{w}", "embeddings.patch_embeddings.projection.{w}"),
            Rule("vision.class_token", ("embeddings.cls_token",), "two_in_front"),
            Rule("vision.position", ("embeddings.position_embeddings",), "one_in_front"),
            *within(
                "vision.blocks.{i}.",
                layers + ".{i}.",
                (
                    same("norm1.{w}", "layernorm_before.{w}"),
                    split("attention.qkv.{w}", attention + ".{qkv}.{w}", qkv),
                    same("attention.out.{w}", out + ".{w}"),
                    same("norm2.{w}", "layernorm_after.{w}"),
                    same("mlp.fc1.{w}", fc1 + ".{w}"),
                    same("mlp.fc2.{w}", fc2 + ".{w}"),
                ),
            ),
            same("vision.post_norm.{w}", "layernorm.{w}"),
        ),
        extra=("pooler.dense.{w}", "classifier.{w}"),
    )


HF_VIT = _hf_vit(
    "Hugging Face ViT",  # as published
    "encoder.layer",
    attention="attention.attention",
    qkv=("query", "key", "value"),
    out="attention.output.dense",
    fc1="intermediate.dense",
    fc2="output.dense",
)
HF_VIT_5 = _hf_vit(
    "Hugging Face ViT (transformers 5)",  # as it stands in memory since transformers 5
    "layers",
    attention="attention",
    qkv=("q_proj", "k_proj", "v_proj"),
    out="attention.o_proj",
    fc1="mlp.fc1",
    fc2="mlp.fc2",
)

IMAGE_ONLY = (TIMM_VIT, HF_VIT, HF_VIT_5)

_CLIP_ALONE = "its CLIP alone, which gives other scores than its authors' model, loads by its place, as file#{place}"

RELATIVES = (
    Relative(
        (r"lora_[AB]\.|^base_model\.model\.",),
        "an adapter of peft, not a model",
        "merge it into the model that it was trained on (merge_and_unload) and save that",
    ),
    Relative(
        (r"text_encoder\.prompt_generation_layer\.",),
        "TC-CLIP, whose vision and text encoders are other than CLIP's",
        "use its authors' code",
    ),
    Relative(
        (r"(?:^|\.)(?:prompt_learner\.ctx|image_encoder\.VPT|\w*VPT_shallow|\w+\.VPT\w*)$",),
        "ViFi-CLIP with learned prompts, which belong to its own labels",
        "use its authors' code, or a ViFi-CLIP that was fine-tuned without prompts",
    ),
    Relative(
        (r"visual\.time_embed$", r"visual\.cls_token$"),
        "Vita-CLIP, whose image encoder has summary, local and global prompts",
        "use its authors' code",
    ),
    Relative(
        (r"Adapter\.D_fc1\.|T_prompt_embeddings$|visual\.temporal_embedding$",),
        "EZ-CLIP or another CLIP with adapters in its blocks",
        "use its authors' code",
    ),
    Relative(
        (r"^fusion_model_state_dict\.",),
        "ActionCLIP or BIKE, whose fusion of frames (fusion_model_state_dict) has no place here",
        _CLIP_ALONE.format(place="model_state_dict"),
        verdict="refused unless named",
    ),
    Relative(
        (r"^model_state\.(?:module\.)?model\.visual\.",),
        "Open-VCLIP or FROSTER (SlowFast's code): CLIP's names, but frames attend to their neighbors",
        _CLIP_ALONE.format(place="model_state"),
        verdict="refused unless named",
    ),
    Relative(
        (r"(?:^|\.)raw_model\.visual\.", r"(?:^|\.)model\.visual\."),
        "FROSTER: CLIP's names, but frames attend to their neighbors",
        _CLIP_ALONE.format(place="model"),
        verdict="refused unless named",
    ),
    Relative(
        (r"^model_state\.(?!(?:module\.)?model\.)",),
        "SlowFast's code saves under model_state, as Open-VCLIP does, whose frames attend to their neighbors",
        verdict="warned",
    ),
    Relative(
        (r"visual\.layer1\.0\.conv1\.weight$",),
        "a CLIP whose image encoder is a ResNet",
        "only vision transformers are supported",
    ),
)
