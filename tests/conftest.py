"""What tests of several rooms share: a server of language models that the test configures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.server.server import ModelServer


@pytest.fixture
def model_server() -> Iterator[Callable[..., ModelServer]]:
    """``model_server(answer, mischief, latency_s=..., seed=..., ...)`` serves until the test ends."""
    with ExitStack() as serving:
        yield lambda *arguments, **options: serving.enter_context(ModelServer(*arguments, **options))
