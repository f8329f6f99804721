"""Plug-ins are found in their folders and in other people's packages, and a bad one is named."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from evokern.plugins import registry
from evokern.records.errors import EvokernError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty plug-in folder named evokern.<the result>."""
    name = f"folder_{tmp_path.name.replace('-', '_')}"
    (tmp_path / name).mkdir()
    monkeypatch.setattr(sys.modules["evokern"], "__path__", [*sys.modules["evokern"].__path__, str(tmp_path)])
    yield tmp_path / name
    for module in [module for module in sys.modules if module.startswith(f"evokern.{name}")]:
        del sys.modules[module]


def add(folder, file: str, text: str) -> None:
    (folder / f"{file}.py").write_text(text)


def test_modules_name_their_plugins(folder):
    add(folder, "one", "class One:\n    name = 'first'\nPLUGIN = One\n")
    add(folder, "two", "class Two:\n    name = 'second'\nPLUGIN = Two\n")
    add(folder, "_private", "raise RuntimeError\n")
    found = registry.discover(folder.name)
    assert list(found) == ["first", "second"]
    assert [type(plugin).__name__ for plugin in registry.chosen(folder.name, ["second"]).values()] == ["Two"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "defines no PLUGIN"),
        ("import no_such_module\n", "does not import"),
        ("PLUGIN = 3\n", "expected PLUGIN to be a class"),
        ("class Nameless: ...\nPLUGIN = Nameless\n", "expected PLUGIN to be a class with a `name`"),
    ],
)
def test_a_bad_module_is_named(folder, text, says):
    add(folder, "bad", text)
    with pytest.raises(EvokernError, match=says) as error:
        registry.discover(folder.name)
    assert f"evokern.{folder.name}.bad" in str(error.value)


def test_two_plugins_of_one_name(folder):
    for file in ("one", "two"):
        add(folder, file, "class Same:\n    name = 'same'\nPLUGIN = Same\n")
    with pytest.raises(EvokernError, match=r"two plug-ins of .* are named 'same'"):
        registry.discover(folder.name)


def test_an_unknown_name(folder):
    add(folder, "one", "class One:\n    name = 'first'\nPLUGIN = One\n")
    with pytest.raises(EvokernError, match=r"no plug-in 'frist' .* there are first"):
        registry.chosen(folder.name, ["frist"])


def test_other_peoples_packages(folder, monkeypatch):
    add(folder, "one", "class One:\n    name = 'first'\nPLUGIN = One\n")
    theirs = EntryPoint("theirs", "collections:OrderedDict", f"evokern.{folder.name}")
    monkeypatch.setattr(registry, "entry_points", lambda group: (theirs,) if group == theirs.group else ())
    with pytest.raises(EvokernError, match="collections:OrderedDict"):
        registry.discover(folder.name)


@pytest.mark.parametrize("name", ["operators", "operators.rewrites", "verifiers", "archives", "backends"])
def test_what_ships_is_found(name):
    assert registry.discover(name)


def test_a_kind_of_plug_in_needs_no_folder_here(monkeypatch):
    """The rewrites of a language that only another package knows."""
    point = EntryPoint("else", "tests.plugins.test_storage:Memo", "evokern.operators.rewrites.elsewhere")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == point.group else [])
    assert list(registry.discover("operators.rewrites.elsewhere")) == ["memo"]


def test_an_entry_point_that_leads_nowhere_is_named(monkeypatch):
    point = EntryPoint("lost", "no_such_package:Lost", "evokern.verifiers")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    with pytest.raises(EvokernError, match=r"plug-in lost of evokern\.verifiers.*uninstall"):
        registry.discover("verifiers")
