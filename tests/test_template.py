from __future__ import annotations

from pathlib import Path

import pytest

from evokern.errors import EvokernError
from evokern.template import Template, names, template


def test_slots_are_filled_and_other_braces_stay() -> None:
    text = "Do {task} in {1, 2} of {static, dynamic} { } {{}} {Upper} { spaced }."
    filled = Template("a", text).fill({"task": "it"})
    assert filled == "Do it in {1, 2} of {static, dynamic} { } {{}} {Upper} { spaced }.\n"


def test_a_value_is_not_a_template() -> None:
    assert Template("a", "{one} {two}").fill({"one": "{two}", "two": "{one} \\1"}) == "{two} {one} \\1\n"


def test_an_unknown_slot_names_the_file_and_the_slots_that_there_are() -> None:
    with pytest.raises(EvokernError, match=r"mutate\.md: no slot \{prent\}; there are parent, task"):
        Template("mutate", "{prent}").fill({"parent": "", "task": ""})


def test_an_empty_value_leaves_no_gap() -> None:
    assert Template("a", "one\n\n{none}\n\ntwo\n").fill({"none": ""}) == "one\n\ntwo\n"


def test_the_user_s_own_template_comes_first(tmp_path: Path) -> None:
    (tmp_path / "categories").mkdir()
    (tmp_path / "categories" / "fusion.md").write_text("ours")
    (tmp_path / "mutate.md").write_text("ours")
    assert names(tmp_path) == ("categories/fusion", "mutate")
    assert template("mutate", tmp_path, {"mutate": "theirs"}).text == "theirs"
    assert template("categories/fusion", tmp_path, {"mutate": "theirs"}).text == "ours"
    with pytest.raises(EvokernError, match=r"crossover\.md"):
        template("crossover", tmp_path, {})
