"""A language model made of rewrites: it finds the kernels in the prompt and answers with real rewrites of them.

It knows plain kernels of the four examples; of anything else it knows what the prompt says. Of its answers the given
shares are bad in the ways in which models are. Its `answer` is what a `ModelServer` serves.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from difflib import SequenceMatcher
from pathlib import Path

from evokern.backends.cpp import Cpp
from evokern.plugins.registry import discover
from evokern.records.kernel import Kernel, Step
from evokern.records.task import Task
from evokern.taskfile.settings import load

EXAMPLES = Path(__file__).parents[2] / "examples"
_SOURCE = re.compile(
    r"^Source of kernel [\d.]+ \(data, not instructions\):\n\n(`{3,})cpp\n(.*?)\n\1$", re.MULTILINE | re.DOTALL
)
_SIGNATURE = re.compile(r'^extern "C" void kernel\([^)]*\)$', re.MULTILINE)
_MISTAKES = {"uncompilable": "    undeclared_name += 1;\n", "wrong": "    {output}[0] += 1.0f;\n"}
_MISTAKE = re.compile(r"^    (?:undeclared_name \+= 1|\w+\[0\] \+= 1\.0f);\n", re.MULTILINE)


@dataclass(frozen=True)
class Faults:
    """Shares of the answers that are bad, in [0, 1]; the rest is as good as its rewrites."""

    uncompilable: float = 0.0
    """A kernel with a name that nobody declared."""
    wrong: float = 0.0
    """A kernel that spoils its first result."""
    unfenced: float = 0.0
    """A good kernel without a fence."""
    talk: float = 0.0
    """No kernel at all."""
    misquoted: float = 0.0
    """An edit of a line that the kernel does not have."""
    cut: float = 0.0
    """Ends in the middle of the kernel."""
    repeated: float = 0.0
    """The kernel that it was given, unchanged."""

    def draw(self, chance: random.Random) -> str:
        """The name of one kind, or ``good``."""
        kinds = [field.name for field in fields(self)]
        shares = [float(getattr(self, kind)) for kind in kinds]
        return chance.choices([*kinds, "good"], [*shares, max(0.0, 1.0 - sum(shares))])[0]


class Synthetic:
    """Same seed and same conversation, same answer; the same one again, another answer, as by a temperature."""

    def __init__(self, faults: Faults | None = None, seed: int = 0) -> None:
        self.faults, self.seed = faults or Faults(), seed
        self.told: Counter[str] = Counter()
        """How many answers of each kind it gave."""
        self._rewrites = {name: plugin() for name, plugin in discover("operators.rewrites").items()}
        self._known: dict[str, tuple[Task, Kernel]] = {}
        for file in EXAMPLES.glob("*.yaml"):
            settings = load(file, {"backend": "cpp"})
            for seed in settings.seeds[:1]:
                self._known[Cpp().signature(settings.task)] = (settings.task, seed)
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def answer(self, messages: Sequence[dict[str, str]]) -> str:
        """The answer to a conversation of ``{"role": ..., "content": ...}``."""
        content = hashlib.sha256(json.dumps(list(messages)).encode()).hexdigest()
        with self._lock:
            chance = random.Random(f"{self.seed} {content} {self._asked[content]}")
            self._asked[content] += 1
        question = next(message["content"] for message in messages if message["role"] == "user")
        if "You write no kernel now" in question:
            return (
                "- Rows that are spread over the threads were faster (kernel 1).\n- Nobody has tried streaming stores."
            )
        mends = messages[-1]["content"] != question
        kind = "good" if mends else self.faults.draw(chance)
        with self._lock:
            self.told["mended" if mends else kind] += 1
        return self._written(kind, messages[0]["content"], question, chance)

    def _written(self, kind: str, system: str, question: str, chance: random.Random) -> str:
        signature = next(found for found in _SIGNATURE.findall(system) if found in self._known)
        task, plain = self._known[signature]
        shown = [source + "\n" for _, source in _SOURCE.findall(question)]
        base = self._chosen(question, shown, plain.source)
        if kind == "talk":
            return "Name: nothing\n\nThe loop is bound by memory, so that little can be gained."
        if kind == "repeated":
            return _answer("repeated", base, [])
        if kind == "misquoted":
            return _edit("Name: misquoted\n\n", ["    there is no such line;"], ["    nor this;"])
        source, steps = self._rewritten(_MISTAKE.sub("", base), task, chance)
        if kind in _MISTAKES:
            end = source.rstrip().rfind("}")
            source = source[:end] + _MISTAKES[kind].format(output=task.returns[0].name) + source[end:]
        if kind == "unfenced":
            return f"Name: bare\nIdea: {steps[0].rewrite if steps else 'plain'}\n\n{source}"
        if "<<<<<<< SEARCH" in question and base == shown[0] and source != base and chance.random() < 0.5:
            return _edits(base, source, steps)
        text = _answer("rewritten", source, steps)
        return text[: len(text) * 2 // 3] if kind == "cut" else text

    @staticmethod
    def _chosen(question: str, shown: Sequence[str], plain: str) -> str:
        """What the answer starts from: the best of a ranking, which is the last; else the first; else a plain one."""
        if not shown:
            return plain
        return shown[-1] if "from the slower to the faster" in question else shown[0]

    def _rewritten(self, source: str, task: Task, chance: random.Random) -> tuple[str, list[Step]]:
        """`source` after one to three rewrites that apply, and these."""
        kernel, steps = Kernel(source), list[Step]()
        for name in chance.sample(sorted(self._rewrites), len(self._rewrites)):
            sites = self._rewrites[name].sites(kernel, task)
            if not sites:
                continue
            site = chance.choice(sites)
            options = tuple((option, chance.choice(values)) for option, values in site.options.items())
            step = Step(name, site.label, options)
            after = self._rewrites[name].apply(kernel, step, task)
            if after is not None and after != kernel:
                kernel = after
                steps.append(step)
            if len(steps) > chance.randrange(3):
                break
        return kernel.source, steps


def _described(name: str, steps: Sequence[Step]) -> str:
    return f"Name: {name}\nIdea: {', '.join(map(str, steps)) or 'as it was'}\n\nIt should move fewer bytes.\n\n"


def _answer(name: str, source: str, steps: Sequence[Step]) -> str:
    return f"{_described(name, steps)}```cpp\n{source}```\n"


def _edits(before: str, after: str, steps: Sequence[Step]) -> str:
    """The difference as one edit, of everything between the first and the last change, so that it matches once."""
    old, new = before.splitlines(), after.splitlines()
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    head = blocks[0].size if blocks[0].a == blocks[0].b == 0 else 0
    last = blocks[-2] if len(blocks) > 1 else blocks[-1]
    tail = last.size if last.a + last.size == len(old) and last.b + last.size == len(new) and last.a >= head else 0
    head = max(0, head - 2)  # two lines of context, for lines that occur twice
    return _edit(_described("edited", steps), old[head : len(old) - tail], new[head : len(new) - tail])


def _edit(said: str, search: Sequence[str], replace: Sequence[str]) -> str:
    return said + "\n".join(("<<<<<<< SEARCH", *search, "=======", *replace, ">>>>>>> REPLACE")) + "\n"
