"""A softmax that is kept up in a loop: a running maximum, and sums that fade when it rises (Milakov, Gimelshein 2018).

    now = tl.maximum(highest, tl.max(score, 1))
    weight = tl.exp(score - now[:, None])
    fade = tl.exp(highest - now)
    total = total * fade + tl.sum(weight, 1)
    result = result * fade[:, None] + tl.dot(weight.to(tl.float16), value)
    highest = now

What two parts of the range leave can be put together in the same way, so several programs can share the loop.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ._flow import names_in

_DIFFERENCE = re.compile(r"tl\.(exp2?)\((\(?)(\w+) - (\w+)(?:\) \* ([\d.]+))?\)")
_SPREAD = re.compile(r"\[(?::, None|None, :)\]")


@dataclass(frozen=True)
class Softmax:
    """The names of one, in the loop that keeps it up."""

    highest: str
    now: str
    fade: str
    exponential: str
    """Of a difference, with two places for what it is of."""
    across: Mapping[str, str]
    """Sum → how the fading is spread over it: nothing, or ``[:, None]``."""

    def merged(self, left: Mapping[str, str]) -> list[str]:
        """The statements that add what another part left.

        Args:
            left: name of the maximum or of a sum → the expression that gives what the other part left of it.
        """
        told, gain = f"{self.highest}_told", f"{self.fade}_told"
        return [
            f"{told} = {left[self.highest]}",
            f"{self.now} = tl.maximum({self.highest}, {told})",
            f"{self.fade} = {self.exponential.format(self.highest, self.now)}",
            f"{gain} = {self.exponential.format(told, self.now)}",
            *(
                f"{name} = {name} * {self.fade}{across} + {left[name]} * {gain}{across}"
                for name, across in self.across.items()
            ),
            f"{self.highest} = {self.now}",
        ]

    @property
    def fresh(self) -> set[str]:
        """Names that `merged` needs for itself."""
        return {f"{self.highest}_told", f"{self.fade}_told"}


def softmax_in(body: Sequence[ast.stmt], carried: Sequence[str]) -> Softmax | None:
    """The softmax that a loop over `body` keeps up in `carried`, if that is all that it carries."""
    targets = [ast.unparse(one.targets[0]) if isinstance(one, ast.Assign) else "" for one in body]
    texts = {
        target: ast.unparse(one.value)
        for target, one in zip(targets, body, strict=True)
        if isinstance(one, ast.Assign) and targets.count(target) == 1
    }
    for highest in carried:
        now, sums = texts.get(highest, ""), [name for name in carried if name != highest]
        forms = {name: form for name, text in texts.items() if (form := _exponential(text, now)) is not None}
        fades = [name for name, (what, _) in forms.items() if what == highest]
        weights = [name for name in forms if name not in fades]
        rise = re.fullmatch(rf"tl\.maximum\({highest}, .+\)", texts.get(now, ""))
        if rise is None or len(fades) != 1 or len(weights) != 1 or len({form for _, form in forms.values()}) != 1:
            continue
        (fade,), (weight,) = fades, weights
        readers = {highest: {now, fade}, now: {highest, fade, weight}, fade: set(sums), weight: set(sums)}
        readers |= {name: {name} for name in sums}
        is_read = all(
            {target for target, one in zip(targets, body, strict=True) if name in _read(one)} == expected
            for name, expected in readers.items()
        )
        across = {name: _faded(texts.get(name, ""), name, fade, weight) for name in sums}
        known = {name: one for name, one in across.items() if one is not None}
        places = [targets.index(name) for name in (now, fade, *sums[:1], highest) if name in targets]
        if is_read and sums and len(known) == len(sums) and places == sorted(places):
            return Softmax(highest, now, fade, forms[fade][1], known)
    return None


def _exponential(text: str, less: str) -> tuple[str, str] | None:
    """From what ``less`` is taken away in an exponential of a difference, and its form with two places for names."""
    found = _DIFFERENCE.fullmatch(_SPREAD.sub("", text))
    if found is None or found[4] != less or bool(found[2]) != bool(found[5]):
        return None
    return found[3], f"tl.{found[1]}(({{}} - {{}}) * {found[5]})" if found[5] else f"tl.{found[1]}({{}} - {{}})"


def _faded(text: str, name: str, fade: str, weight: str) -> str | None:
    """How ``name = name * fade + ...`` spreads the fading, if what it adds is linear in the weights."""
    sums = rf"tl\.sum\({weight}, \d\)|tl\.dot\({weight}(?:\.to\([\w.]+\))?, \w+\)"
    found = re.fullmatch(rf"{name} \* {fade}(\[:, None\])? \+ (?:{sums})", text)
    return (found[1] or "") if found else None


def _read(statement: ast.stmt) -> set[str]:
    return names_in(statement.value) if isinstance(statement, ast.Assign) else names_in(statement)
