"""What tests of several rooms share: a server of language models that the test configures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.server.server import ModelServer

QUICK = ("analysis", "plugins", "prompting", "records", "report", "selection", "taskfile", "tuning")
"""Folders that `make quick` runs: they start no judge, and next to no compiler."""
SLOW_FILES = ("test_outside.py",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as slow whatever is not in a quick folder; `test_house.py`, too, is quick."""
    tests = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(tests) if item.path.is_relative_to(tests) else item.path
        is_quick = place.parts[0] in QUICK or place.name == "test_house.py"
        if not is_quick or place.name in SLOW_FILES:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="session")
def _state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Runs that tests begin are not entered among those of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def model_server() -> Iterator[Callable[..., ModelServer]]:
    """``model_server(answer, mischief, latency_s=..., seed=..., ...)`` serves until the test ends."""
    with ExitStack() as serving:
        yield lambda *arguments, **options: serving.enter_context(ModelServer(*arguments, **options))
