"""What tests of several rooms share: a server of language models that the test configures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.server.server import ModelServer


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
