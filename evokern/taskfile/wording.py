"""What is wrong with a value of a task file, in words of people: what was expected, and what came."""

from __future__ import annotations

import re

from pydantic_core import ErrorDetails

SHOWN_CHARS = 80
"""Of a value that is refused."""
_EXPECTED = {
    "dict_type": "expected keys with values, such as {M: 4, N: 8}",
    "model_type": "expected keys with values",
    "model_attributes_type": "expected keys with values",
    "list_type": "expected a list: [one, two], or a line for each item that begins with a dash",
    "scalar_type": "expected text, a number, true or false",
}
"""pydantic's kinds of faults in words of people."""


def expected(fault: ErrorDetails) -> str:
    """What would have done."""
    said = _EXPECTED.get(fault["type"]) or fault["msg"].replace("Input should be", "expected")
    said = re.sub(r"^\w+ should have (at (?:least|most) \d+ items?) after validation, not \d+", r"expected \1", said)
    return re.sub(r"^expected (greater|less) than", r"expected a number \1 than", said)


def any_scalar(fault: ErrorDetails) -> ErrorDetails:
    """`fault`, which pydantic reports once for each scalar that would have done, in one form for all of them."""
    if not fault["loc"] or fault["loc"][-1] not in ("str", "bool", "int", "float"):
        return fault
    if not isinstance(fault["input"], list | dict):
        return fault
    return {**fault, "type": "scalar_type", "loc": fault["loc"][:-1]}


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
