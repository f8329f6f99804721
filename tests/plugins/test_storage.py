"""An archive plug-in takes files by the ends of their names; optional attributes of contracts have defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evokern.plugins import optional, registry, storage
from evokern.records.errors import EvokernError


class Memo:
    name = "memo"


class Anything:
    name = "anything"
    suffixes = ("",)


class Twin:
    name = "twin"
    suffixes = (".memo", ".old.memo")


@pytest.fixture
def there(monkeypatch):
    """Says which archives there are."""
    return lambda *kinds: monkeypatch.setattr(registry, "discover", lambda _: {kind.name: kind for kind in kinds})


def test_the_longest_suffix_counts_and_the_name_is_one(there):
    there(Anything, Memo)
    assert storage.kind_of(Path("a.memo")) is Memo
    assert storage.kind_of(Path("a.db")) is Anything
    assert storage.kind_of(Path("memo")) is Anything
    there(Anything, Memo, Twin)
    assert storage.kind_of(Path("a.old.memo")) is Twin


def test_a_file_that_nobody_or_two_take_is_an_error(there):
    there(Memo, Twin)
    with pytest.raises(EvokernError, match="memo and twin both do"):
        storage.kind_of(Path("a.memo"))
    with pytest.raises(EvokernError, match="none does"):
        storage.kind_of(Path("a.db"))


def test_a_file_of_any_name_has_an_archive_among_those_that_come_with_evokern(tmp_path):
    with pytest.raises(EvokernError):  # the file is not there, and that is what the archive says
        storage.opened(tmp_path / "a", readonly=True)
    made = storage.opened(tmp_path / "a")
    made.close()
    storage.opened(tmp_path / "a", readonly=True).close()


def test_attributes_that_a_plug_in_does_not_have():
    assert not optional.is_rule(Memo())
    assert not optional.needs_model(Memo())
    assert not optional.reflects(Memo())
    assert optional.expected_gain(Memo()) == optional.EXPECTED_GAIN


def test_no_module_but_the_one_chooses_an_archive():
    root = Path(__file__).parents[2] / "evokern"
    named = [file.name for file in root.rglob("*.py") if re.search(r"discover\(.archives|\[.sqlite", file.read_text())]
    assert named == []
