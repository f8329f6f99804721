"""The small contracts between the rooms. A plug-in needs this module and the records (`task`, `kernel`, `outcome`).

Who calls whom, per child: `Operator.propose` → each `Verifier.verify`, in the order of `evokern.verification.cascade` →
`Evaluator.evaluate` → `Archive.remember`. The engine (`evolve.py`) is the only caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy

from evokern.records.completion import Completion, Exchange, Flaw, Flawed, Insight, Prompt
from evokern.records.kernel import Child, Kernel, Step
from evokern.records.outcome import Cache, Candidate, Evaluation, Evidence, Fidelity, Verdict, Withdrawal
from evokern.records.program import Listing, Program
from evokern.records.task import Shape, Task
from evokern.toolchain.machine import Machine


@runtime_checkable
class Models(Protocol):
    """The language models as one child's operator sees them: calls are budgeted, retried, and in the archive first."""

    def ask(self, prompt: Prompt, model: str | None = None) -> Completion:
        """Blocks until the answer is there; safe to call from several threads at once.

        Args:
            model: one of the configured models by name; None takes the one that was chosen for this child.

        Raises:
            Exhausted: a budget forbids the call (`completion.NoAnswer`; the engine takes either as None).
            ModelFailed: no answer came after all retries.
            EvokernError: the set-up is broken: the key is refused, or there is no such model.
        """
        ...

    def flawed(self, completion: Completion, flaw: Flaw) -> None:
        """Notes in the log why no kernel could be read in an answer; to say it twice changes nothing."""
        ...


@dataclass(frozen=True)
class Conditions:
    """What the kernels of a run are written for, as prompts tell it."""

    language: str = "cpp"
    signature: str = ""
    """`Backend.signature` of the task."""
    machine: Machine | None = None
    threads: int = 1
    """That a kernel may use."""
    cache: Cache = Cache.COLD
    """Where the inputs are when the clock starts."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """The user's own templates, by the names of those that they replace (`template.py`)."""


@dataclass(frozen=True)
class Context:
    """What an operator may look at when it makes a child. Everything in it is a record; nothing can be changed."""

    task: Task
    parents: tuple[Candidate, ...]
    """As many as the operator's `arity` allows, best first."""
    history: tuple[Candidate, ...]
    """Every candidate of the run so far (failures too), oldest first: what paid off and what did not."""
    known: Mapping[str, int]
    """Kernel.normal_hash → candidate id of everything proposed so far; proposing one of these again is a waste."""
    rng: numpy.random.Generator
    """This child's own stream; an operator uses no other source of chance."""
    models: Models | None = None
    """None when no model is configured; then no operator that needs one is called. A prompt should follow from this
    context and its stream alone, and quote no ids of candidates, which depend on who was judged first: then a search
    that was killed asks again what it had asked, and is answered from the log."""
    insights: tuple[Insight, ...] = ()
    """Lessons that `reflects` operators drew from the run so far, oldest first: quoted data, like everything else."""
    conditions: Conditions = field(default_factory=Conditions)
    generation: int = 0
    index: int = 0
    """The child's place in its generation: children of one batch that ask a model should ask for different things."""
    sampler: str = "tpe"
    """How points of a kernel's tunables are drawn (`settings.SearchSettings.sampler`)."""


@runtime_checkable
class Operator(Protocol):
    """Makes a child: mutation (one parent), crossover (two or more), translation (none), repair (a failed one).

    Optional class attributes. ``expected_gain: float``, as a rewrite's: how eagerly it is tried before anything was
    measured; 0.2 by default. ``needs_model: bool``, False by default: it is called only when a model is configured,
    from several threads at once, and it names the completions that it used in `Child.completions`. ``reflects: bool``
    (beside ``needs_model``), False by default: it makes no child but asks for a lesson every few generations and
    returns None; its last completion then stands in `Context.insights`.
    """

    name: str
    arity: tuple[int, int]
    """The least and the most passing parents that it takes; how many it gets is drawn for each child. (0, 0): none, it
    finds what it needs (a failed kernel, say) in the history."""

    def propose(self, context: Context) -> Child | None:
        """A new child, or None when nothing applies (costs nothing). Same context and stream, same child."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A language: how its kernels are declared, compiled and run. Knows nothing of search."""

    language: str
    suffix: str
    """Of its kernels' files, e.g. ``.cpp``."""
    timed: bool
    """Whether the times of its workers mean anything; False: this machine can only tell right from wrong."""

    def signature(self, task: Task) -> str:
        """The declaration that a kernel for `task` must define, as source text."""
        ...

    def compile(self, kernel: Kernel, task: Task) -> Path | Evidence:
        """The artefact (cached by source, flags and compiler; safe to call from several processes at once), or why not.

        Raises:
            EvokernError: there is no compiler.
        """
        ...

    def profile(self, kernel: Kernel, task: Task) -> tuple[str, ...]:
        """What explains the kernel's speed, in a few plain facts of a line each: what the compiler made of it. Cached
        as `compile`; the kernel never runs for it. Empty when nothing is known or the kernel does not compile.

        Facts may quote the kernel: they are data.

        Raises:
            EvokernError: there is no compiler.
        """
        ...

    def command(self, artefact: Path, task: Task) -> list[str]:
        """argv of the worker that loads `artefact` and serves the judge's control page (evaluation/worker.py)."""
        ...


class Strictness(StrEnum):
    """What a strict build stops at, in the words of evidence."""

    BEHAVIOUR = "undefined behaviour"
    RACES = "races"


@runtime_checkable
class StrictBackend(Backend, Protocol):
    """A language whose kernels can be built so that what is wrong ends the process, whatever it computes."""

    def compile_strictly(self, kernel: Kernel, task: Task, stops_at: Strictness) -> Path | Evidence:
        """As `compile`, for `command_strictly`. Evidence says nothing of the kernel: why it has no such build here."""
        ...

    def command_strictly(self, artefact: Path, task: Task, stops_at: Strictness) -> list[str]:
        """As `command`. The worker has address space without end; the judge watches how much memory it takes."""
        ...


@runtime_checkable
class DeviceBackend(Backend, Protocol):
    """A language whose kernels are device code and a launch plan. Its `command` serves the control page on the CPU,
    for correctness only; on a GPU the trusted launcher executes what `program` gives."""

    targets: tuple[str, ...]
    """What its kernels are compiled for where there is no GPU, e.g. ``cuda:90``; the first one counts."""

    def program(self, kernel: Kernel, task: Task, shape: Shape, target: str) -> Program | Evidence:
        """The kernel at `shape`, compiled for `target` (``cuda:90``, ``hip:gfx942`` ...) by a confined process; cached.

        Raises:
            EvokernError: there is no compiler for `target`.
        """
        ...

    def disassemble(self, kernel: Kernel, task: Task, shape: Shape, target: str) -> tuple[Listing, ...]:
        """What `program` compiles, as text a person can read: all languages that there are tools for; cached. Asked
        for kernels that were confirmed only. Empty when the kernel does not compile.

        Raises:
            EvokernError: there is no compiler for `target`.
        """
        ...


@dataclass(frozen=True)
class Inspection:
    """What a verifier may look at besides the child."""

    task: Task
    backend: Backend
    known: Mapping[str, int] = field(default_factory=dict)
    """As in `Context`, without the child itself."""
    history: tuple[Candidate, ...] = ()
    """As in `Context`: what the child was made from, and what failed before it."""
    models: Models | None = None
    """None when no model is configured to verify with."""
    asked: tuple[str, ...] = ()
    """The names of those that are: a soft verifier asks each."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """As in `Conditions`; those for verifiers stand below ``verifiers/``."""


@runtime_checkable
class Verifier(Protocol):
    """Refuses a child before it costs device time. `cascade.py` decides in which order verifiers are called, whether
    at all, and what comes of a refusal: the first that stands is the last word.

    Two optional class attributes, False by default. ``is_rule: bool``: what it refuses is refused by definition,
    whatever a judge would say of it (a kernel that does not compile). A rule is always called and never audited; what
    others refuse is a prediction, which is held against the judge. ``needs_model: bool``: it is *soft*, asks the models
    that are configured for it, and its verdicts tell its `doubt` and what they cost; without one it is not called.
    """

    name: str
    price_s: float
    """Expected seconds per verdict, for as long as none was measured."""

    def verify(self, child: Child, inspection: Inspection) -> Verdict:
        """Lets pass, refuses with evidence, or abstains; never accepts for good. Called from several threads at once.

        Whatever it raises, and whatever takes too long, is taken as an abstention.
        """
        ...


class Evaluator(Protocol):
    """The judge as the engine sees it: confined execution of one kernel, correctness then latency."""

    def evaluate(self, kernel: Kernel, fidelity: Fidelity, holder: Kernel | None = None) -> Evaluation:
        """Judges a kernel that compiles. A kernel's failure is in the answer.

        Args:
            holder: the kernel that leads. At CONFIRM the two are also timed against each other, process by process:
                the measurements have a speed-up over `outcome.HOLDER`.

        Raises:
            EvokernError: the judge itself cannot work (reference raises, worker cannot start).
        """
        ...


@runtime_checkable
class Withdrawing(Protocol):
    """An `Evaluator` that measures kernels against kernels which passed before, and compares the outputs of both."""

    def withdrawals(self) -> Sequence[Withdrawal]:
        """The kernels that fell as rivals since this was asked before. The search asks after each evaluation."""
        ...


@dataclass(frozen=True)
class Run:
    """A search: everything needed to do it again. `parent` and `branched_at` tell a branch from a fresh run."""

    settings: str
    """The validated settings as JSON, every default filled in."""
    task: str
    """The `Task` as JSON, reference source included."""
    machine: str
    """What it ran on, as JSON (`machine.py`)."""
    seed: int
    parent: int | None = None
    branched_at: int | None = None
    """The last generation taken over from `parent`."""
    started_at: str = ""
    """UTC, ISO 8601."""
    id: int = 0


@dataclass(frozen=True)
class Generation:
    """A finished batch of offspring: the unit that a run resumes from."""

    run: int
    number: int
    islands: tuple[tuple[int, ...], ...]
    """Ids of the candidates that survived it, per island."""
    random_state: str
    """State of the run's generator after it, as JSON."""
    finished_at: str = ""
    remeasured: tuple[int, ...] = ()
    """Candidates that were evaluated once more since the generation before, an entry for each further evaluation."""


@dataclass(frozen=True)
class History:
    """All that an archive knows of a run and of the runs that it branched from, oldest first."""

    run: Run
    generations: tuple[Generation, ...]
    candidates: tuple[Candidate, ...]
    """In (generation, index) order, the unfinished generation's included."""


class Archive(Protocol):
    """Remembers. Each call is one durable transaction: when it returns, a crash can't undo it. Threads may share it.

    A plug-in's class is called with the path, and `readonly=True` by those that only read: they work beside a writer.
    There is one writer at a time. Optional class attribute: ``suffixes: tuple[str, ...]``, the ends of the file names
    that the archive takes (`evokern.plugins.storage`); its name by default.
    """

    def remember(self, record: Run | Candidate | Generation | Exchange | Flawed) -> int:
        """Stores `record` and returns its id. A candidate known by (run, generation, index) gains what is new in it,
        an answer its flaw; remembering the same record twice changes nothing.

        Raises:
            EvokernError: not writable, disk full, or written by a newer evokern. Nothing already stored is touched.
        """
        ...

    def recall(self, run: int | None = None, through: int | None = None) -> History:
        """Run `run` (default: the latest), its ancestors included, up to generation `through` if given.

        Raises:
            EvokernError: no such run.
        """
        ...

    def exchanges(self, run: int | None = None) -> tuple[Exchange, ...]:
        """The paid-for log of run `run` (default: the latest), its ancestors included, oldest first.

        Raises:
            EvokernError: no such run.
        """
        ...

    def runs(self) -> tuple[Run, ...]:
        """Every run, oldest first."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Site:
    """A place where a rewrite can be applied, and the choices that it offers there."""

    label: str
    """Survives unrelated edits (`Step.site`)."""
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Option → its possible values; a step fixes one value for each."""
    weight: float = 1.0
    """How likely it is drawn, beside the rewrite's other sites in the kernel."""
    usual: tuple[str, str] | None = None
    """The option that becomes a tunable, and the value to begin with: structure shows its worth with numbers that are
    sane, and `tune` finds better ones."""


@runtime_checkable
class Rewrite(Protocol):
    """A small source transformation of the kernels of one language on their syntax tree."""

    name: str
    expected_gain: float
    """Log speed-up that it typically brings where it pays: how eagerly it is tried before anything was measured. With 0
    it is never tried for itself: some operator inserts it."""

    def sites(self, kernel: Kernel, task: Task) -> list[Site]:
        """Where it applies, in source order; empty when nowhere."""
        ...

    def apply(self, kernel: Kernel, step: Step, task: Task) -> Kernel | None:
        """The rewritten kernel, or None when the step's site or options do not (or no longer) apply."""
        ...
