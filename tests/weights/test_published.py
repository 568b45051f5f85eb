"""The published model gives the published numbers.

This needs the hub: `pytest -m network tests/weights/test_published.py`.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import XCLIPProcessor

import crossframe

NAME = "microsoft/xclip-base-patch32"
LABELS = ["playing sports", "eating spaghetti", "go shopping"]
# What the integration test of transformers' own X-CLIP expects.
LOGITS = torch.tensor([[14.0181, 20.2771, 14.4776]])


@pytest.mark.network
def test_logits_of_the_published_base_model() -> None:
    try:
        path = hf_hub_download(
            "hf-internal-testing/spaghetti-video", "eating_spaghetti_8_frames.npy", repo_type="dataset"
        )
    except LocalEntryNotFoundError:
        pytest.skip("the hub cannot be reached and the cache does not hold the frames")
    frames = np.load(path)  # uint8 (8, H, W, 3)
    model = crossframe.load(NAME, device="cpu")
    processor = XCLIPProcessor.from_pretrained(NAME)
    theirs = processor(text=LABELS, videos=list(frames), return_tensors="pt", padding=True)
    tokens = model.tokenize(LABELS)
    with torch.no_grad():
        logits = model(theirs["pixel_values"], tokens)
        ours = model(model.prepare(torch.from_numpy(frames).permute(0, 3, 1, 2)), tokens)
    torch.testing.assert_close(logits, LOGITS, rtol=0.0, atol=2e-3)
    # Pillow, which the processor uses, rounds to whole gray levels between its passes.
    torch.testing.assert_close(ours, LOGITS, rtol=0.0, atol=0.1)
