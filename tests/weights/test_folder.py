"""Folders: our own, Hugging Face's corner cases, open_clip's; and what `load` says of names it does not know."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor, AutoTokenizer

import crossframe
from crossframe.model.config import ModelConfig
from crossframe.model.xclip import XCLIP
from crossframe.text.tokenizer import Tokenizer
from crossframe.video.transform import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from crossframe.weights import WeightsError, folder
from crossframe.weights.fingerprint import fingerprint
from crossframe.weights.tables import HF_XCLIP
from tests.weights.small import CLIP_CONFIG, XCLIP_CONFIG, make, published, same_weights, tokens_for, video_for


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    weights = path.with_name("model.safetensors")
    if weights.is_file():  # that they were saved with another config is not what is wrong here
        save_file(load_file(weights), weights)


class TestOwnFolder:
    def test_everything_comes_back(self, tmp_path: Path) -> None:
        corpus = ["a red square moves left", "a blue circle grows"]
        tokenizer = Tokenizer.train(corpus, 600, context_length=16)
        config = replace(XCLIP_CONFIG, text=replace(XCLIP_CONFIG.text, vocab_size=tokenizer.vocab_size))
        model = make(config)
        model.tokenizer = tokenizer
        model.preprocess = Preprocess(32, None, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bicubic", antialias=True)
        assert crossframe.save(model, tmp_path / "run" / "best") == tmp_path / "run" / "best"
        loaded = crossframe.load(tmp_path / "run" / "best")
        assert same_weights(loaded, model)
        assert fingerprint(loaded) == fingerprint(model)
        assert loaded.config == config
        assert loaded.preprocess == model.preprocess
        assert torch.equal(loaded.tokenize(corpus), model.tokenize(corpus))
        assert sorted(path.name for path in (tmp_path / "run" / "best").iterdir()) == [
            "config.json", "model.safetensors", "tokenizer.json",
        ]  # fmt: skip
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["best"]

    def test_saving_again_replaces_the_files_and_leaves_others(self, tmp_path: Path) -> None:
        crossframe.save(make(), tmp_path)
        (tmp_path / "optimizer.pt").write_text("beside")
        second = make()
        crossframe.save(second, tmp_path)
        assert same_weights(crossframe.load(tmp_path), second)
        assert (tmp_path / "optimizer.pt").read_text() == "beside"

    @pytest.mark.parametrize("moved", [1, 2])
    def test_a_save_cut_off_between_its_files_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int
    ) -> None:
        def ours(alpha: float) -> XCLIP:
            assert XCLIP_CONFIG.prompts is not None
            config = replace(XCLIP_CONFIG, prompts=replace(XCLIP_CONFIG.prompts, alpha=alpha))
            model = make(config)
            model.tokenizer = Tokenizer.train(["red square" if alpha < 0.15 else "blue circle"], 600, context_length=16)
            return model

        crossframe.save(ours(0.1), tmp_path)
        left = moved

        def cut_off(*names: Any) -> None:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            move(*names)

        move = os.replace
        monkeypatch.setattr(os, "replace", cut_off)
        with pytest.raises(KeyboardInterrupt):
            crossframe.save(ours(0.2), tmp_path)
        with pytest.raises(WeightsError, match=r"(config|tokenizer)\.json is not what was saved with model\.safeten"):
            crossframe.load(tmp_path)

    def test_a_model_may_be_saved_over_the_file_it_was_loaded_from(self, tmp_path: Path) -> None:
        first = make()
        crossframe.save(first, tmp_path)
        loaded = crossframe.load(tmp_path)
        crossframe.save(make(), tmp_path)
        assert same_weights(loaded, first)

    def test_half_precision_halves_the_file(self, tmp_path: Path) -> None:
        model = make()
        crossframe.save(model, tmp_path / "whole")
        crossframe.save(model, tmp_path / "half", dtype=torch.float16)
        sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("half", "whole")]
        assert sizes[0] < 0.55 * sizes[1]
        loaded = crossframe.load(tmp_path / "half")
        assert loaded.dtype == torch.float32
        assert torch.equal(loaded.vision.projection, model.vision.projection.half().float())

    def test_double_precision_stays(self, tmp_path: Path) -> None:
        model = make(dtype=torch.float64)
        crossframe.save(model, tmp_path)
        assert same_weights(crossframe.load(tmp_path), model)

    def test_the_weights_file_stands_for_its_folder(self, tmp_path: Path) -> None:
        config = replace(XCLIP_CONFIG, vision=replace(XCLIP_CONFIG.vision, heads=8, activation="gelu"))
        crossframe.save(make(config), tmp_path)
        assert crossframe.load(tmp_path / "model.safetensors").config == config
        (tmp_path / "config.json").unlink()
        with pytest.raises(WeightsError, match=r"crossframe's own: give the folder .* config\.json"):
            crossframe.load(tmp_path / "model.safetensors")

    def test_a_precision_that_cannot_hold_the_weights(self, tmp_path: Path) -> None:
        model = make()
        crossframe.save(model, tmp_path)
        with torch.no_grad():
            model.vision.projection[0, 0] = 1e6
        with pytest.raises(WeightsError, match=r"vision\.projection would hold values in torch\.float16 that are not"):
            crossframe.save(model, tmp_path, dtype=torch.float16)
        crossframe.save(model, tmp_path / "wide", dtype=torch.bfloat16)
        with torch.no_grad():
            model.vision.projection[0, 0] = float("nan")
        with pytest.raises(WeightsError, match=r"vision\.projection would hold values that are not finite"):
            crossframe.save(model, tmp_path)
        assert crossframe.load(tmp_path).vision.projection.abs().max() < 1e6  # what was there before

    @pytest.mark.parametrize("dtype", [torch.int8, "bfloat16"])
    def test_a_type_that_weights_cannot_have(self, tmp_path: Path, dtype: Any) -> None:
        with pytest.raises(WeightsError, match="weights are of a floating type of torch"):
            crossframe.load(crossframe.save(make(), tmp_path), dtype=dtype)

    @pytest.mark.parametrize("change", [{"num_frames": 0}, {"image_size": 0}, {"image_size": 33}])
    def test_sizes_that_no_model_has(self, tmp_path: Path, change: dict[str, Any]) -> None:
        with pytest.raises(WeightsError, match=r"num_frames is 0|image_size is 0|image size 33 is not a multiple"):
            crossframe.load(crossframe.save(make(), tmp_path), **change)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"schema": 2}, "has schema 2, and this version reads up to 1: upgrade crossframe"),
            ({"schema": "one"}, "its schema is 'one'; expected a number from 1 to 1"),
            ({"model": {}}, "incomplete"),
            (
                {"model": XCLIP_CONFIG.to_dict() | {"vision": {"patch_size": 0}}},
                "patch_size is 0; it must be 1 or more",
            ),
            ({"model": XCLIP_CONFIG.to_dict() | {"embed_dim": -128}}, "embed_dim is -128; it must be 1 or more"),
            ({"model": None}, "expected an object"),
            ({"preprocess": {"size": 32}}, "the entry 'mean' is missing"),
            (
                {"preprocess": {"size": 16, "short_side": 16, "mean": [0] * 3, "std": [1] * 3}},
                "makes pictures of 16, and the model takes 32 x 32",
            ),
            ({"format": "other"}, "describes a model of type None"),
        ],
    )
    def test_configs_that_cannot_be_used(self, tmp_path: Path, change: dict[str, Any], message: str) -> None:
        crossframe.save(make(), tmp_path)
        edit(tmp_path / "config.json", **change)
        with pytest.raises(WeightsError, match=message) as caught:
            crossframe.load(tmp_path)
        assert str(tmp_path / "config.json") in str(caught.value)

    def test_other_files_of_weights_beside_our_config(self, tmp_path: Path) -> None:
        model = make()
        crossframe.save(model, tmp_path)
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
        assert same_weights(crossframe.load(tmp_path / "pytorch_model.bin"), model)

    def test_a_device_that_does_not_exist(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match=r"^device is 'gpu'; give cpu, cuda, cuda:1 or mps$"):
            crossframe.load(crossframe.save(make(), tmp_path), device="gpu")

    def test_sizes_beyond_all_bounds(self, tmp_path: Path) -> None:
        crossframe.save(make(), tmp_path)
        wide = replace(XCLIP_CONFIG, vision=replace(XCLIP_CONFIG.vision, image_size=8 * 10**9))
        edit(tmp_path / "config.json", model=wide.to_dict(), preprocess=None)
        with pytest.raises(WeightsError, match="its config describes a model too large to exist"):
            crossframe.load(tmp_path)

    def test_more_layers_than_there_are_tensors_are_not_built(self, tmp_path: Path) -> None:
        crossframe.save(make(), tmp_path)
        deep = replace(XCLIP_CONFIG, vision=replace(XCLIP_CONFIG.vision, layers=10**9))
        edit(tmp_path / "config.json", model=deep.to_dict())
        with pytest.raises(
            WeightsError, match=r"has \d+ tensors, and its names or its config speak of 1000000005 layers"
        ):
            crossframe.load(tmp_path)

    def test_unknown_entries_are_refused_by_name(self, tmp_path: Path) -> None:
        crossframe.save(make(), tmp_path)
        values = json.loads((tmp_path / "config.json").read_text())
        values["model"]["vision"]["colour"] = "red"
        edit(tmp_path / "config.json", model=values["model"])
        with pytest.raises(WeightsError, match=r"config\.vision has unknown entries \['colour'\]"):
            crossframe.load(tmp_path)

    def test_weights_that_do_not_fit_the_config(self, tmp_path: Path) -> None:
        crossframe.save(make(), tmp_path)
        state = load_file(tmp_path / "model.safetensors")
        state["mit.position"] = torch.zeros(5, 128)
        state["extra"] = torch.zeros(1)
        del state["logit_scale"]
        save_file(state, tmp_path / "model.safetensors")
        with pytest.raises(WeightsError) as caught:
            crossframe.load(tmp_path)
        assert "missing logit_scale; left over extra; mit.position has shape (5, 128)" in str(caught.value)

    def test_no_weights_and_no_config(self, tmp_path: Path) -> None:
        crossframe.save(make(), tmp_path)
        (tmp_path / "model.safetensors").unlink()
        with pytest.raises(WeightsError, match=r"holds no weights; expected model\.safetensors"):
            crossframe.load(tmp_path)
        (tmp_path / "config.json").write_text("{broken")
        with pytest.raises(WeightsError, match=r"config\.json cannot be read as JSON"):
            crossframe.load(tmp_path)
        (tmp_path / "config.json").unlink()
        with pytest.raises(WeightsError, match=r"neither config\.json nor open_clip_config\.json"):
            crossframe.load(tmp_path)


class TestHuggingFaceFolder:
    @pytest.fixture
    def words(self) -> XCLIP:
        """A small model with CLIP's vocabulary."""
        model = make(replace(XCLIP_CONFIG, text=replace(XCLIP_CONFIG.text, vocab_size=49408)))
        model.tokenizer = Tokenizer.clip(16)
        return model

    def test_transformers_own_tools_open_what_we_save(self, words: XCLIP, tmp_path: Path) -> None:
        crossframe.save(words, tmp_path, "transformers")
        labels = ["Arm wrestling", "  cleaning  a pool!"]
        theirs = AutoTokenizer.from_pretrained(tmp_path)(labels, padding="max_length", return_tensors="pt")
        ours = words.tokenize(labels)
        for row, mask, expected in zip(theirs["input_ids"], theirs["attention_mask"], ours, strict=True):
            assert row[mask.bool()].tolist() == expected[expected > 0].tolist()
        processor = AutoProcessor.from_pretrained(tmp_path)
        frames = torch.randint(0, 256, (4, 3, 64, 48), dtype=torch.uint8)
        pixels = processor(videos=list(frames.permute(0, 2, 3, 1).numpy()), return_tensors="pt")["pixel_values"]
        loaded = crossframe.load(tmp_path)
        # Pillow rounds to whole grey levels after each pass; ours does not.
        assert (loaded.prepare(frames) - pixels).abs().max() < 0.03

    def test_the_folders_pictures_are_followed(self, words: XCLIP, tmp_path: Path) -> None:
        crossframe.save(words, tmp_path, "transformers")
        edit(tmp_path / "preprocessor_config.json", size=40, crop_size=32, resample=3, image_mean=[0.5] * 3)
        loaded = crossframe.load(tmp_path)
        assert loaded.preprocess == Preprocess(32, 40, (0.5,) * 3, IMAGENET_STD, "bicubic", antialias=True)
        edit(tmp_path / "preprocessor_config.json", size={"height": 32, "width": 32}, do_center_crop=False)
        assert crossframe.load(tmp_path).preprocess.short_side is None
        (tmp_path / "preprocessor_config.json").unlink()
        assert crossframe.load(tmp_path).preprocess == Preprocess.xclip(32)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"crop_size": 48}, r"makes pictures of \[48\], and the model takes 32 x 32"),
            ({"do_resize": False}, "does not resize"),
            ({"rescale_factor": 1.0}, "does not scale colours"),
            ({"resample": 1}, "filter 1 is not supported"),
            ({"image_mean": ["red"]}, "preprocessor_config"),
        ],
    )
    def test_pictures_that_the_model_cannot_take(
        self, words: XCLIP, tmp_path: Path, change: dict[str, Any], message: str
    ) -> None:
        crossframe.save(words, tmp_path, "transformers")
        edit(tmp_path / "preprocessor_config.json", **change)
        with pytest.raises(WeightsError, match=message):
            crossframe.load(tmp_path)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"model_type": "siglip"}, "describes a model of type 'siglip'; known are"),
            ({"model_type": "vit"}, "image encoder without words: see crossframe.weights.replace_vision"),
            ({"projection_dim": 64}, "its mit_hidden_size 128 is not its projection_dim 64"),
            ({"projection_dim": "many"}, "mit_hidden_size"),
            ({"prompt_hidden_act": "relu"}, "its activation 'relu' is unknown"),
            ({"text_config": {"layer_norm_eps": 1e-6}}, "layer_norm_eps differ"),
            ({"prompt_num_attention_heads": 3}, "width 128 cannot be split over 3 heads"),
            ({"prompt_layers": 3}, r"missing .*decoder\.2"),
        ],
    )
    def test_configs_that_cannot_be_used(
        self, words: XCLIP, tmp_path: Path, change: dict[str, Any], message: str
    ) -> None:
        crossframe.save(words, tmp_path, "transformers")
        edit(tmp_path / "config.json", **change)
        with pytest.raises(WeightsError, match=message) as caught:
            crossframe.load(tmp_path)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(("end", "fits"), [(2, True), (49407, True), (50000, True), (49405, False)])
    def test_the_end_of_a_label_must_be_its_largest_id(self, tmp_path: Path, end: int, fits: bool) -> None:
        clip = make(replace(CLIP_CONFIG, text=replace(CLIP_CONFIG.text, vocab_size=49408)))
        crossframe.save(clip, tmp_path, "transformers")
        values = json.loads((tmp_path / "config.json").read_text())
        edit(tmp_path / "config.json", text_config=values["text_config"] | {"eos_token_id": end})
        if fits:
            assert same_weights(crossframe.load(tmp_path), clip)
        else:
            with pytest.raises(WeightsError, match="its end-of-text id 49405 is not the largest of its 49408 ids"):
                crossframe.load(tmp_path)

    def test_of_two_files_of_weights_the_named_one_is_read(self, words: XCLIP, tmp_path: Path) -> None:
        crossframe.save(words, tmp_path, "transformers")
        other = make(words.config)
        torch.save(published(other, HF_XCLIP), tmp_path / "pytorch_model.bin")
        assert same_weights(crossframe.load(tmp_path), words)
        assert same_weights(crossframe.load(tmp_path / "model.safetensors"), words)
        assert same_weights(crossframe.load(tmp_path / "pytorch_model.bin"), other)

    def test_shards_outside_the_folder_are_refused(self, words: XCLIP, tmp_path: Path) -> None:
        crossframe.save(words, tmp_path, "transformers")
        (tmp_path / "model.safetensors").unlink()
        index = {"weight_map": {"logit_scale": "../secret.safetensors"}}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(WeightsError, match="refers to files outside its folder"):
            crossframe.load(tmp_path)

    @pytest.mark.parametrize(
        "config",
        [
            replace(XCLIP_CONFIG, mit=None),
            replace(XCLIP_CONFIG, prompts=None),
            replace(XCLIP_CONFIG, vision=replace(XCLIP_CONFIG.vision, mixing="joint")),
            replace(XCLIP_CONFIG, text=None, prompts=None, num_classes=3),
            replace(XCLIP_CONFIG, prompts=replace(XCLIP_CONFIG.prompts, mlp_width=64)),
            replace(XCLIP_CONFIG, mit=replace(XCLIP_CONFIG.mit, activation="gelu")),
            replace(XCLIP_CONFIG, text=replace(XCLIP_CONFIG.text, norm_eps=1e-6)),
            replace(XCLIP_CONFIG, text=replace(XCLIP_CONFIG.text, learned_vectors=2)),
            replace(CLIP_CONFIG, vision=replace(CLIP_CONFIG.vision, pre_norm=False)),
        ],
    )
    def test_models_that_transformers_does_not_have(self, config: ModelConfig, tmp_path: Path) -> None:
        with pytest.raises(WeightsError):
            crossframe.save(make(config), tmp_path / "hf", "transformers")
        assert not (tmp_path / "hf").exists()

    def test_an_unknown_format(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="format is 'onnx'; choose 'crossframe' or 'transformers'"):
            crossframe.save(make(), tmp_path, "onnx")  # pyright: ignore[reportArgumentType]


class TestOpenClipFolder:
    @pytest.fixture
    def clip(self) -> XCLIP:
        vision = replace(CLIP_CONFIG.vision, heads=4, activation="gelu")
        return make(replace(CLIP_CONFIG, vision=vision, text=replace(CLIP_CONFIG.text, heads=8, activation="gelu")))

    @pytest.fixture
    def values(self) -> dict[str, Any]:
        vision = {"image_size": 32, "layers": 2, "width": 128, "head_width": 32, "patch_size": 8, "mlp_ratio": 1.5}
        text = {"context_length": 16, "vocab_size": 96, "width": 64, "heads": 8, "layers": 2}
        pictures = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bicubic"}
        return {
            "model_cfg": {"embed_dim": 128, "vision_cfg": vision, "text_cfg": text},
            "preprocess_cfg": pictures | {"resize_mode": "shortest", "fill_color": 0},
        }

    @pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
    def test_heads_activation_and_pictures_are_those_of_the_file(
        self, clip: XCLIP, values: dict[str, Any], tmp_path: Path, name: str
    ) -> None:
        (tmp_path / "open_clip_config.json").write_text(json.dumps(values))
        (save_file if name.endswith("safetensors") else torch.save)(published(clip), tmp_path / name)
        loaded = crossframe.load(tmp_path)
        video, tokens = video_for(clip.config), tokens_for(clip.config)
        with torch.no_grad():
            torch.testing.assert_close(loaded(video, tokens), clip(video, tokens), rtol=0.0, atol=0.0)
        assert loaded.preprocess == Preprocess(32, 32, (0.5,) * 3, (0.25,) * 3, "bicubic", antialias=True)

    @pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside Hugging Face's"])
    def test_the_file_of_a_folder_stands_for_it(
        self, clip: XCLIP, values: dict[str, Any], tmp_path: Path, beside: bool
    ) -> None:
        if beside:  # as on the hub, where both libraries find their own
            crossframe.save(make(CLIP_CONFIG), tmp_path, "transformers")
        (tmp_path / "open_clip_config.json").write_text(json.dumps(values))
        save_file(published(clip), tmp_path / "open_clip_model.safetensors")
        loaded = crossframe.load(tmp_path / "open_clip_model.safetensors")
        assert same_weights(loaded, clip)
        assert loaded.config.vision.activation == "gelu"

    def test_openais_weights_say_that_they_use_quick_gelu(
        self, clip: XCLIP, values: dict[str, Any], tmp_path: Path
    ) -> None:
        values["model_cfg"]["quick_gelu"] = True
        (tmp_path / "open_clip_config.json").write_text(json.dumps(values))
        save_file(published(clip), tmp_path / "open_clip_model.safetensors")
        config = crossframe.load(tmp_path).config
        assert (config.vision.activation, config.text.activation) == ("quick_gelu", "quick_gelu")

    @pytest.mark.parametrize(
        ("part", "change", "message"),
        [
            (
                "vision_cfg",
                {"timm_model_name": "vit_base_patch16_siglip"},
                "'vit_base_patch16_siglip': towers from timm",
            ),
            ("text_cfg", {"hf_model_name": "xlm-roberta-base"}, "'xlm-roberta-base': towers from Hugging Face"),
            ("vision_cfg", {"layers": [3, 4, 6, 3]}, "image encoder is a ResNet"),
            ("vision_cfg", {"pool_type": "avg"}, "its options pool_type are not those of a plain CLIP"),
            ("text_cfg", {"no_causal_mask": True}, "its options no_causal_mask"),
            ("text_cfg", {"something_new": 1}, "its options something_new"),
        ],
    )
    def test_other_architectures_are_refused_by_name(
        self, clip: XCLIP, values: dict[str, Any], tmp_path: Path, part: str, change: dict[str, Any], message: str
    ) -> None:
        values["model_cfg"][part] |= change
        (tmp_path / "open_clip_config.json").write_text(json.dumps(values))
        save_file(published(clip), tmp_path / "open_clip_model.safetensors")
        with pytest.raises(WeightsError, match=message):
            crossframe.load(tmp_path)


class TestNames:
    def test_a_typing_error_is_met_with_the_nearest_names(self) -> None:
        with pytest.raises(WeightsError, match=r"'shape' is no file.*did you mean shapes\?"):
            crossframe.load("shape")
        with pytest.raises(WeightsError, match=r"did you mean microsoft/xclip-base-patch32"):
            crossframe.load("xclip-base-patch32")

    def test_a_name_like_nothing_is_met_with_the_list(self) -> None:
        with pytest.raises(WeightsError, match="`crossframe models` lists the known ones"):
            crossframe.load("qqqqqqqq")

    def test_a_published_file_must_be_downloaded_first(self) -> None:
        with pytest.raises(WeightsError, match="that is a file of the authors: download it and give its path"):
            crossframe.load("k400_16_8.pth")

    def test_a_missing_file_is_called_by_its_name(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match=r"nowhere\.pth' is no file, no folder"):
            crossframe.load(tmp_path / "nowhere.pth")

    def test_the_bundled_model_may_be_missing(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("crossframe.weights.loading.BUNDLED", tmp_path / "nowhere")
        with pytest.raises(WeightsError, match="'shapes' is missing from this installation"):
            crossframe.load("shapes")

    def test_the_bundled_model_goes_before_a_folder_of_the_same_name(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        crossframe.save(make(), tmp_path / "bundled")
        monkeypatch.setattr("crossframe.weights.loading.BUNDLED", tmp_path / "bundled")
        (tmp_path / "shapes").mkdir()
        monkeypatch.chdir(tmp_path)
        assert crossframe.load("shapes").config == XCLIP_CONFIG

    def test_known_sources_cost_no_torch_and_have_no_double(self) -> None:
        names = [source.name for source in crossframe.list_models()]
        assert len(set(names)) == len(names)
        assert {"shapes", "microsoft/xclip-base-patch32", "k400_16_8.pth", "openai/clip-vit-base-patch16"} <= set(names)

    def test_the_default_colours_are_imagenets(self) -> None:
        assert folder.default_preprocess(XCLIP_CONFIG).mean == IMAGENET_MEAN
