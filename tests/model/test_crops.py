from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossframe.model.config import resized
from crossframe.model.preprocess import center_box, three_crop_boxes
from crossframe.video.draws import multiscale_boxes


def cases(golden: Path, kind: str) -> list[tuple[int, dict[str, Any]]]:
    table = json.loads((golden / "crops.json").read_text())[kind]
    assert len(table) > 10
    return [(int(key.split("_in")[1]), value) for key, value in table.items()]


def test_center_crops(golden: Path) -> None:
    for size, case in cases(golden, "center_crop"):
        width, height = resized(*case["source_wh"], case["short_side_target"])
        assert [width, height] == case["resized_wh"]
        assert list(center_box(width, height, size)) == case["center_crop_box_xyxy"]


def test_three_crops(golden: Path) -> None:
    for size, case in cases(golden, "three_crop"):
        width, height = resized(*case["source_wh"], size)
        assert [width, height] == case["resized_wh"]
        first, middle, last = (list(box) for box in three_crop_boxes(width, height, size))
        assert [first, last, middle] == case["boxes_xyxy_in_order"]  # the authors' order


def test_multiscale_boxes(golden: Path) -> None:
    for size, case in cases(golden, "multiscale"):
        boxes = multiscale_boxes(*case["resized_wh"], size)
        assert [list(box) for box in boxes] == case["boxes_enumerated_in_choice_order"]


def test_crops_must_fit() -> None:
    with pytest.raises(ValueError, match="224x224 does not fit into a frame of 340x200"):
        center_box(340, 200, 224)
    with pytest.raises(ValueError, match="resize it first"):
        three_crop_boxes(340, 256, 224)


@pytest.mark.parametrize(("short_side", "snaps"), [(221, False), (222, True), (224, True), (226, True), (227, False)])
def test_sides_within_two_pixels_of_the_picture_become_its_side(short_side: int, snaps: bool) -> None:
    boxes = multiscale_boxes(340, short_side, 224, scales=(1.0,))
    side = 224 if snaps else short_side
    assert {(right - left, bottom - top) for left, top, right, bottom in boxes} == {(side, side)}
