"""What the source must have none of, counted; and that the counting itself would notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import house
from benchmarks.harness import Options


def test_no_file_name_occurs_twice_no_function_is_too_long_and_none_takes_too_much() -> None:
    assert house.repeated_names() == []
    assert house.long_functions() == []
    assert house.long_signatures() == []


@pytest.mark.slow
def test_one_classify_and_one_training_step_enter_few_files(tmp_path: Path) -> None:
    bars = {bar.name: bar for bar in house.measure(Options(tiny=True, repeats=1, videos=tmp_path)).bars}
    for name in ("files entered by one classify", "files entered by one training step", "lines of code in model/"):
        assert bars[name].met, bars[name]


def test_what_is_counted_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a", "b", "cli"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
        (tmp_path / folder / "same.py").write_text("def small(a, b): ...\n")
    (tmp_path / "b" / "other.py").write_text(
        "class One:\n"
        "    def seven(self, a, b, c, d, e, f, g): ...\n"
        "    def eight(self, a, b, c, d, e, f, g, *, h): ...\n"
        "def long():\n" + "    pass\n" * 60
    )
    monkeypatch.setattr(house, "SRC", tmp_path)
    assert house.repeated_names() == ["same.py"]
    assert house.long_functions() == ["b/other.py:4 long: 61 lines"]
    assert house.long_signatures() == ["b/other.py:3 eight: 8 parameters"]
    assert (len(house.files()), house.lines()) == (7, 67)
    text = '"""Two\nlines."""\n\n# none\ndef f():\n    """None."""\n    return (\n        1\n    )\n'
    (tmp_path / "b" / "lines.py").write_text(text)
    assert house.code_lines(tmp_path / "b" / "lines.py") == 4
    (tmp_path / "a" / "program.py").write_text("def inside():\n    pass\n\ndef outside():\n    pass\n")
    program = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom a.program import inside\n"
    assert house.entered(program + "enter()\nleave()\ninside()\n") == []
    assert house.entered(program + "enter()\ninside()\nleave()\n") == ["a/program.py"]
