"""What a checkpoint says of its training comes back as it was."""

from __future__ import annotations

import pytest

from crossframe.taught import FRAME_RULES, FrameRule, Taught


@pytest.mark.parametrize("rule", FRAME_RULES)
def test_every_rule_of_a_recipe_comes_back_from_a_checkpoint(rule: FrameRule) -> None:
    assert Taught.from_dict(Taught(("yoga", "golf"), sampling=rule).to_dict()).sampling == rule


def test_an_unknown_rule_is_refused_by_name() -> None:
    values = Taught(("yoga", "golf")).to_dict() | {"sampling": "every"}
    with pytest.raises(ValueError, match="its sampling is 'every'; known are sparse, dense, time"):
        Taught.from_dict(values)
