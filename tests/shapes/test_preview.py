"""Every action, for a person to look at."""

from __future__ import annotations

from pathlib import Path

import av

from crossframe.shapes.actions import ACTIONS, NEW_ACTIONS
from crossframe.shapes.preview import contact_sheet, example_scenes


def test_every_action_has_a_row() -> None:
    shown = {scene.action for scene in example_scenes()}
    assert shown >= {*ACTIONS, *NEW_ACTIONS}
    assert any(" and " in action for action in shown)


def test_the_sheet_is_a_picture_as_large_as_its_frames(tmp_path: Path) -> None:
    path = contact_sheet(tmp_path / "new" / "sheet.png", example_scenes()[:3], size=32, num_frames=4)
    with av.open(str(path)) as container:
        (frame,) = container.decode(video=0)
    assert frame.width >= 2 * 4 * 32
    assert frame.height >= 2 * 32
    assert len(set(frame.to_ndarray(format="rgb24").reshape(-1, 3).sum(1).tolist())) > 20
