"""The one exception a user can meet. A failed kernel is data (`outcome.py`), never an exception."""

from __future__ import annotations


class EvokernError(Exception):
    """The set-up is broken: says what was expected, what came, and what to do about it."""
