"""The tables of families beyond CLIP, and which layouts there are. How rules are written: `tables.py`.

`docs/families.md` walks through a new one.
"""

from __future__ import annotations

from dataclasses import replace

from crossframe.weights.tables import (
    HF_CLIP,
    HF_EXTRA,
    HF_TOWERS,
    HF_XCLIP,
    OPENAI,
    OPENAI_TEXT,
    OPENAI_TOWERS,
    TIMM_VIT_RULES,
    Layout,
    Rule,
    same,
    split,
    within,
)

# An attention pool whose product is fused, as in PyTorch's own attention.
_FUSED_POOL = (
    Rule("probe", ("probe",), "two_in_front"),
    same("attention.out.{w}", "attn.out_proj.{w}"),
    same("attention.qkv.{w}", "attn.in_proj_{w}"),
    same("norm.{w}", "layernorm.{w}"),
)

HF_SIGLIP = Layout(
    "Hugging Face SigLIP",  # and SigLIP 2 of fixed size
    "vision_model.head.probe",
    (
        *(rule for rule in HF_TOWERS if rule.change == "same" and rule.ours != "logit_scale"),
        *(rule for rule in HF_TOWERS if rule.change == "split"),
        *within(
            "vision.pool.",
            "vision_model.head.",
            (
                *(replace(rule, theirs=(rule.theirs[0].replace("attn.", "attention."),)) for rule in _FUSED_POOL),
                same("mlp.fc1.{w}", "mlp.fc1.{w}"),
                same("mlp.fc2.{w}", "mlp.fc2.{w}"),
            ),
        ),
        Rule("text.projection", ("text_model.head.weight",), "transpose"),
        same("text.projection_bias", "text_model.head.bias"),
        Rule("logit_scale", ("logit_scale",), "one_in_front"),
        Rule("logit_bias", ("logit_bias",), "one_in_front"),
    ),
    HF_EXTRA,
)

META_PE = Layout(
    "Meta's Perception Encoder",
    "visual.attn_pool.probe",
    (
        *OPENAI_TOWERS,
        *within(
            "vision.pool.",
            "visual.attn_pool.",
            (*_FUSED_POOL, same("mlp.fc1.{w}", "mlp.c_fc.{w}"), same("mlp.fc2.{w}", "mlp.c_proj.{w}")),
        ),
    ),
    extra=("attn_mask",),
)

# EVA-02's blocks: queries, keys and values apart, no bias of keys, a gate, and norms within.
_EVA_BLOCK = (
    split("attention.qkv.weight", "attn.{qkv}.weight"),
    Rule("attention.qkv.bias", ("attn.q_proj.bias", "attn.v_proj.bias"), "no_key_bias"),
    same("attention.norm.{w}", "attn.norm.{w}"),
    same("mlp.gate.{w}", "mlp.fc1_g.{w}"),
    same("mlp.fc1.{w}", "mlp.fc1_x.{w}"),
    same("mlp.norm.{w}", "mlp.norm.{w}"),
)


def _folded(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """A convolution without a bias and the batch norm behind it."""
    norm = tuple(f"{theirs}bn.{name}" for name in ("weight", "bias", "running_mean", "running_var"))
    return (
        Rule(f"{ours}weight", (f"{theirs}conv.weight", norm[0], norm[3]), "fold_weight"),
        Rule(f"{ours}bias", norm, "fold_bias"),
    )


OPEN_CLIP_TIMM = Layout(
    "open_clip with an image encoder of timm",
    "visual.trunk.pos_embed",
    (
        *within("vision.", "visual.trunk.", TIMM_VIT_RULES),
        same("vision.pre_norm.{w}", "visual.trunk.norm_pre.{w}"),
        *within("vision.blocks.{i}.", "visual.trunk.blocks.{i}.", _EVA_BLOCK),
        *_folded("vision.patch_embed.0.", "visual.trunk.patch_embed.backbone.0."),
        *_folded("vision.patch_embed.2.", "visual.trunk.patch_embed.backbone.1."),
        same("vision.patch_embed.4.{w}", "visual.trunk.patch_embed.backbone.2.conv.{w}"),
        *within(
            "vision.pool.",
            "visual.trunk.attn_pool.",
            (
                Rule("probe", ("latent",), "two_in_front"),
                Rule("attention.qkv.{w}", ("q.{w}", "kv.{w}"), "query_apart"),
                same("attention.out.{w}", "proj.{w}"),
                same("norm.{w}", "norm.{w}"),
                same("mlp.fc1.{w}", "mlp.fc1.{w}"),
                same("mlp.fc2.{w}", "mlp.fc2.{w}"),
            ),
        ),
        Rule("vision.projection", ("visual.trunk.head.weight",), "transpose"),
        same("vision.projection_bias", "visual.trunk.head.bias"),
        *within("text.", "text.", OPENAI_TEXT),
        Rule("text.projection", ("text.text_projection.weight",), "transpose"),
        same("text.projection_bias", "text.text_projection.bias"),
        same("logit_scale", "logit_scale"),
        same("logit_bias", "logit_bias"),
    ),
    extra=("text.attn_mask", "visual.trunk.patch_embed.backbone.{i}.bn.num_batches_tracked"),
)

TIPSV2 = Layout(
    "TIPSv2",
    "vision_encoder.register_tokens",
    (
        *within("vision.", "vision_encoder.", TIMM_VIT_RULES),
        Rule("vision.registers", ("vision_encoder.register_tokens",), "one_in_front"),
        *within(
            "vision.blocks.{i}.",
            "vision_encoder.blocks.{i}.",
            (
                same("scale1.weight", "ls1.gamma"),
                same("scale2.weight", "ls2.gamma"),
                same("mlp.fc1.{w}", "mlp.c_fc.{w}"),  # as transformers saves them
                same("mlp.fc2.{w}", "mlp.c_proj.{w}"),
            ),
        ),
        *within("text.", "text_encoder.", OPENAI_TEXT),
        Rule("logit_scale", ("temperature",), "minus_log"),
    ),
    extra=("vision_encoder.mask_token",),
)


def _vifi(theirs: str) -> str:
    if theirs.startswith("visual."):
        return theirs.replace("visual.", "image_encoder.", 1)
    return theirs if theirs == "logit_scale" else f"text_encoder.{theirs}"


VIFI_CLIP = Layout(
    "ViFi-CLIP",  # a plain CLIP, with its token embedding left out
    "image_encoder.conv1.weight",
    tuple(
        replace(rule, theirs=(_vifi(rule.theirs[0]),))
        for rule in OPENAI.rules
        if rule.ours.startswith(("vision.", "text.", "logit_scale"))
        and ".message." not in rule.ours
        and "token_embed" not in rule.ours
    ),
    extra=("prompt_learner.complete_text_embeddings",),  # of the labels that it was tested with
)

# In the order in which signs are looked for: Meta's names include all of OpenAI's.
LANGUAGE_IMAGE = (META_PE, OPENAI, HF_CLIP, HF_XCLIP, VIFI_CLIP)
NEED_CONFIG = (HF_SIGLIP, OPEN_CLIP_TIMM, TIPSV2)  # their shapes do not tell enough
