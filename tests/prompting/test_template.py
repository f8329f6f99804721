from __future__ import annotations

from pathlib import Path

import pytest

from evokern.prompting.template import Template, own_templates, template
from evokern.records.errors import EvokernError


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


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        file = folder / f"{name.replace('__', '/')}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def test_the_user_s_own_template_comes_first(tmp_path: Path) -> None:
    built_in = write(tmp_path, mutate="{parent}", categories__fusion="ours")
    assert template("mutate", built_in, {"mutate": "theirs"}).text == "theirs"
    assert template("categories/fusion", built_in, {"mutate": "theirs"}).text == "ours"
    with pytest.raises(EvokernError, match=r"crossover\.md"):
        template("crossover", built_in, {})


def test_a_folder_of_prompts_replaces_some_and_may_add_categories_and_folders(tmp_path: Path) -> None:
    built_in = write(tmp_path / "ours", mutate="{parent} {task}", categories__fusion="ours")
    own = {"mutate": "only {parent}", "categories__mine": "a", "their_package__ask": "{anything}"}
    found = own_templates(write(tmp_path / "theirs", **own), built_in)
    assert found == {name.replace("__", "/"): text for name, text in own.items()}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"mutat": "x"}, r"mutat\.md replaces no prompt; did you mean mutate\.md"),
        ({"answers__kernl": "x"}, r"answers/kernl\.md replaces no prompt; did you mean answers/kernel\.md"),
        ({"mutate": "{parnet}"}, r"mutate\.md: no slot \{parnet\}; there are parent"),
        ({}, "expected a folder of prompts"),
    ],
)
def test_what_would_have_no_effect_is_an_error(tmp_path: Path, texts: dict[str, str], message: str) -> None:
    built_in = write(tmp_path / "ours", mutate="{parent}", answers__kernel="x")
    with pytest.raises(EvokernError, match=message):
        own_templates(write(tmp_path / "theirs", **texts), built_in)
