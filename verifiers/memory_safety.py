"""Asks models whether a kernel stays within its buffers, and its threads out of each other's way."""

from __future__ import annotations

from evokern.records.outcome import Status

from ._soft import SoftVerifier


class MemorySafety(SoftVerifier):
    """Its question is prompts/memory_safety.md."""

    name = "memory_safety"
    refusal = Status.CRASHED


PLUGIN = MemorySafety
