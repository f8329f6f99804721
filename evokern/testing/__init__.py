"""Conformance suites for plug-ins, shipped for authors of plug-ins. They need pytest: `pip install 'evokern[testing]'`.

A suite is a class of tests, one for each kind of plug-in: `evokern.testing.operators.OperatorSuite`, and so on for
`rewrites`, `verifiers`, `archives` and `backends`. An author subclasses it in a test file, and names the plug-in.

Example:
    ```python
    from evokern.testing.verifiers import VerifierSuite
    from my_package import NoPrefetch


    class TestNoPrefetch(VerifierSuite):
        subject = NoPrefetch
    ```
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{kind}" for kind in ("archives", "backends", "operators", "rewrites", "verifiers"))
)
