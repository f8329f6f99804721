"""What is wrong with a value of a task file, in words of people: what was expected, and what came."""

from __future__ import annotations

SHOWN_CHARS = 80
"""Of a value that is refused."""
EXPECTED = {
    "dict_type": "expected keys with values, such as {M: 4, N: 8}",
    "model_type": "expected keys with values",
    "model_attributes_type": "expected keys with values",
    "list_type": "expected a list, such as [{M: 4, N: 8}] or a line for each item that begins with a dash",
}
"""pydantic's kinds of faults in words of people."""


def shown(value: object) -> str:
    """The value as it was read, cut."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]} ..."


def kind(value: object) -> str:
    """What it is."""
    names = {
        str: "text",
        dict: "a mapping",
        list: "a list",
        int: "an integer",
        float: "a number",
        bool: "true or false",
    }
    return names.get(type(value), "nothing")
