"""The optional attributes of contracts: each is read here, with what holds where a plug-in does not have it."""

from __future__ import annotations

from evokern.plugins.protocols import Operator, Verifier

EXPECTED_GAIN = 0.2
"""`expected_gain` of an operator that does not state one."""


def is_rule(verifier: Verifier) -> bool:
    """Whether a verifier's refusals are right by definition."""
    return bool(getattr(verifier, "is_rule", False))


def needs_model(plugin: Operator | Verifier | type[Operator]) -> bool:
    """Whether a plug-in is called only where a language model is configured."""
    return bool(getattr(plugin, "needs_model", False))


def reflects(operator: Operator | type[Operator]) -> bool:
    """Whether an operator draws lessons and makes no children."""
    return bool(getattr(operator, "reflects", False))


def expected_gain(operator: Operator) -> float:
    """Log speed-up that an operator promises before anything was measured."""
    return float(getattr(operator, "expected_gain", EXPECTED_GAIN))


def suffixes(archive: type) -> tuple[str, ...]:
    """Ends of the file names that an archive takes, e.g. ``(".db",)``; ``""`` takes what no other archive takes.

    An archive without the attribute takes files that end in its name: ``memo`` takes ``run.memo``.
    """
    return tuple(getattr(archive, "suffixes", (f".{getattr(archive, 'name', '')}",)))
