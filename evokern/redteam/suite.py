"""The attacks as data: kernels/*.cpp, one file each, and pending.toml for those that need another kind of kernel.

A file begins with comments: what the attack does, ``expect:`` the ways in which it may end, ``evidence:`` words that
must be in the reason, ``fidelity:``, ``times:`` how often it is run in a row. After ``// twin:`` comes the honest
kernel nearest to it, which must pass; without one it is the plain honest kernel. An attack that steals or harms
computes its outputs only if that succeeded, so that it passes exactly when the judge failed.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from evokern.records.kernel import Kernel
from evokern.records.outcome import Fidelity, Status
from evokern.records.task import DType, Scalar, Task, Tensor

FOLDER = Path(__file__).parent
NO_GAIN = "no-gain"
"""What an attack may end in that passes: it computed everything, and was not faster than honest code."""

_TWIN = re.compile(r"^// twin: (.*)\n", re.MULTILINE)
_FIELD = re.compile(r"^// (expect|evidence|fidelity|times): (.*)\n", re.MULTILINE)

TASK = Task(
    name="redteam",
    category="normalization",
    reference_file="rms_norm.py",
    reference_source=(
        "import torch\n\n\ndef reference(x, weight, eps):\n"
        "    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight\n"
    ),
    arguments=(
        Tensor("x", DType.FLOAT32, ("M", "N")),
        Tensor("weight", DType.FLOAT32, ("N",)),
        Scalar("eps", DType.FLOAT32, 1e-5),
    ),
    returns=(Tensor("y", DType.FLOAT32, ("M", "N")),),
    check=({"M": 1, "N": 1}, {"M": 3, "N": 127}, {"M": 8, "N": 64}),
    time=({"M": 16, "N": 1024}, {"M": 256, "N": 1024}),
)
"""Small enough that a hundred evaluations take a minute; one call of 10 microseconds and one of 200, since what a
process does between being done and being stopped weighs more the shorter a call is."""


@dataclass(frozen=True)
class Attack:
    """A kernel that cheats, steals or harms, and its honest twin."""

    name: str
    story: str
    """What it does, in a line, with the number of the published technique where there is one."""
    source: str
    expected: frozenset[str]
    """Values of `Status`, or `NO_GAIN`."""
    evidence: str
    fidelity: Fidelity
    times: int
    twin: str
    """Its source."""


def attacks() -> tuple[Attack, ...]:
    """Every attack, by name."""
    return tuple(_read(path) for path in sorted((FOLDER / "kernels").glob("*.cpp")))


def honest() -> Kernel:
    """The plain honest kernel: the yardstick of the suite."""
    return Kernel(_complete("KERNEL { honest(x, weight, eps, y, M, N); }\n"))


def pending() -> dict[str, dict[str, str]]:
    """Known techniques that no C++ kernel can use, by what they need."""
    return tomllib.loads((FOLDER / "pending.toml").read_text())


def _read(path: Path) -> Attack:
    text = path.read_text()
    first, _, _ = text.partition("\n")
    cheat, *rest = _TWIN.split(text, maxsplit=1)
    fields: dict[str, str] = dict(_FIELD.findall(cheat))
    expected = frozenset(fields["expect"].split())
    unknown = expected - {*(status.value for status in Status), NO_GAIN}
    if unknown:
        raise ValueError(f"{path.name}: expected statuses, got {', '.join(sorted(unknown))}")
    return Attack(
        path.stem,
        first.removeprefix("// "),
        _complete(cheat),
        expected,
        fields.get("evidence", ""),
        Fidelity[fields.get("fidelity", "screen").upper()],
        int(fields.get("times", "1")),
        _complete(rest[1]) if rest else honest().source,
    )


def _complete(source: str) -> str:
    return (FOLDER / "kernels" / "honest.h").read_text() + source
