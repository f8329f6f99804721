"""Asks models whether a kernel will compile."""

from __future__ import annotations

from evokern.records.outcome import Status

from ._soft import SoftVerifier


class Compilation(SoftVerifier):
    """Its question is prompts/compilation.md."""

    name = "compilation"
    refusal = Status.COMPILE_FAILED


PLUGIN = Compilation
