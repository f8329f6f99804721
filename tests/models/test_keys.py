"""Keys stay in the environment."""

from __future__ import annotations

import pytest

from evokern.models.keys import key_for, scrubbed
from evokern.taskfile.settings import ModelSettings

KEY = "sk-planted-0123456789"


def test_secrets_are_replaced_by_the_names_of_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("MY_MODEL", KEY + "-longer")
    model = ModelSettings(name="openai/x", api_key_env="MY_MODEL")
    assert scrubbed(f"wrong key {KEY}-longer or {KEY}", model) == "wrong key <MY_MODEL> or <OPENAI_API_KEY>"


@pytest.mark.parametrize(("name", "value"), [("KEYBOARD", "azertyazerty"), ("CI_TOKEN", "1234"), ("HOME", "/home/me")])
def test_other_variables_are_left_alone(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert scrubbed(f"int x = {value};") == f"int x = {value};"


def test_a_local_server_never_gets_a_provider_s_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert key_for(ModelSettings(name="openai/x", api_base="http://127.0.0.1:1/v1")) == "none"
    assert key_for(ModelSettings(name="openai/x")) is None  # litellm finds it
    monkeypatch.setenv("LOCAL", "its own")
    assert key_for(ModelSettings(name="openai/x", api_base="http://127.0.0.1:1/v1", api_key_env="LOCAL")) == "its own"


def test_the_judge_and_the_compilers_get_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from evokern.evaluation.client import _environment

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("MY_MODEL", KEY)
    assert KEY not in " ".join(_environment().values())  # the judge's, from which all workers descend
