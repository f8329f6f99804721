"""Asks models whether a kernel computes what the reference does."""

from __future__ import annotations

from evokern.records.outcome import Status

from ._soft import SoftVerifier


class Numerics(SoftVerifier):
    """Its question is prompts/numerics.md."""

    name = "numerics"
    refusal = Status.WRONG


PLUGIN = Numerics
