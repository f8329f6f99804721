"""An archive for people: what `evokern.Archive` offers to notebooks, scripts and the command line's reading verbs."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from evokern.plugins import storage
from evokern.plugins.protocols import Archive as Store
from evokern.plugins.protocols import History, Run
from evokern.records.completion import Exchange
from evokern.records.errors import EvokernError
from evokern.records.outcome import Candidate
from evokern.selection.front import front
from evokern.selection.lead import leader
from evokern.selection.lineage import lineage

if TYPE_CHECKING:
    from pandas import DataFrame  # type: ignore[import-untyped]


class Archive:
    """An archive opened for reading; a search may be writing to it, and what it adds is seen at the next call.

    Where a method takes a `run` (its id), the latest is meant by default. A branch includes what it took over.
    """

    def __init__(self, path: str | Path) -> None:
        """Opens the archive at `path`.

        Raises:
            EvokernError: there is none, or this evokern can't read it.
        """
        self.path = Path(path)
        self._store: Store = storage.opened(self.path, readonly=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Archive({str(self.path)!r})"

    def close(self) -> None:
        """Closes the file."""
        self._store.close()

    @property
    def damage(self) -> dict[str, str]:
        """What could not be read so far (``candidate 7``), and why. It was left out of every answer."""
        return dict(getattr(self._store, "damage", {}))

    def runs(self) -> tuple[Run, ...]:
        """Every run, oldest first."""
        return self._store.runs()

    def history(self, run: int | None = None) -> History:
        """Everything known of `run`: settings, generations, candidates.

        Raises:
            EvokernError: no such run.
        """
        return self._store.recall(run)

    def exchanges(self, run: int | None = None) -> tuple[Exchange, ...]:
        """What language models were asked for `run`, and what they answered, oldest first.

        Raises:
            EvokernError: no such run.
        """
        return self._store.exchanges(run)

    def candidates(self, run: int | None = None) -> tuple[Candidate, ...]:
        """Every candidate of `run`, failed ones included, oldest first."""
        return self.history(run).candidates

    def candidate(self, id: int) -> Candidate:
        """The candidate with this id, in any run.

        Raises:
            EvokernError: no such candidate.
        """
        if (by_id := getattr(self._store, "candidate", None)) is None:
            return self._family(id)[id]
        found: Candidate | None = by_id(id)
        if found is None:
            raise self._missing(id)
        return found

    def answers(self, candidate: Candidate) -> tuple[Exchange, ...]:
        """What language models were asked for `candidate`, and what they answered, oldest first."""
        wanted = candidate.child.completions
        if not wanted:
            return ()
        if (by_id := getattr(self._store, "answers", None)) is None:
            return tuple(one for one in self.exchanges(candidate.run) if one.completion.id in wanted)
        found: tuple[Exchange, ...] = by_id(wanted)
        return found

    def front(self, run: int | None = None) -> tuple[Candidate, ...]:
        """The candidates of `run` that no other beats in both speed-up and numerical error, fastest first."""
        return front(self.candidates(run))

    def best(self, run: int | None = None) -> Candidate | None:
        """The kernel of `run` that leads: no other is faster by more than noise. None when none has passed."""
        return leader(self.candidates(run))

    def lineage(self, id: int) -> tuple[Candidate, ...]:
        """The candidate, its parents, theirs, and so on, nearest first; `child.parents` are the edges.

        Raises:
            EvokernError: no such candidate.
        """
        known = {id: self.candidate(id)}
        waiting = [id]
        while waiting:
            for parent in known[waiting.pop()].child.parents:
                if parent.id not in known and (found := self._readable(parent.id)) is not None:
                    known[parent.id] = found
                    waiting.append(parent.id)
        return lineage(known[id], known)

    def frame(self, run: int | None = None) -> DataFrame:
        """The candidates of `run`, one row each, indexed by id; the best is `frame().speedup.idxmax()`.

        Raises:
            EvokernError: pandas is not installed, or no such run.
        """
        try:
            import pandas
        except ImportError as error:
            raise EvokernError("data frames need pandas: pip install 'evokern[notebook]'") from error
        rows = [_row(candidate) for candidate in self.candidates(run)]
        return pandas.DataFrame(rows, columns=[*_INTEGERS, *_FLOATS, *_REST]).astype(_TYPES).set_index("id")

    def _family(self, id: int) -> dict[int, Candidate]:
        """The candidates, by id, of a run to which `id` belongs; the latest such run is found first."""
        for run in reversed(self.runs()):
            known = {candidate.id: candidate for candidate in self.candidates(run.id)}
            if id in known:
                return known
        raise self._missing(id)

    def _readable(self, id: int) -> Candidate | None:
        try:
            return self.candidate(id)
        except EvokernError:  # damaged: a lineage names it only
            return None

    def _missing(self, id: int) -> EvokernError:
        if (reason := self.damage.get(f"candidate {id}")) is not None:
            return EvokernError(f"archive {self.path}: candidate {id} is damaged and can't be read: {reason}")
        return EvokernError(f"archive {self.path}: no candidate {id}")


_INTEGERS = ("id", "run", "generation", "island")
_FLOATS = ("speedup", "speedup_over_eager", "rms_error", "max_error", "judge_s")
_REST = ("operator", "status", "fidelity", "recipe", "parents", "reason", "idea", "source")
_TYPES = dict.fromkeys(_INTEGERS, "int64") | dict.fromkeys(_FLOATS, "float64")


def _row(candidate: Candidate) -> tuple[object, ...]:
    child, counted = candidate.child, candidate.evaluation
    doubts = counted.doubts if counted else ()
    passed = candidate.speedup is not None and not doubts
    numbers = (
        candidate.speedup if passed else None,  # a figure that the machine did not allow is none
        counted.speedup("eager") if counted and passed else None,
        counted.rms_error if counted else None,
        counted.max_error if counted else None,
        sum(evaluation.judge_s for evaluation in candidate.evaluations),
    )
    rest = (
        child.operator,
        candidate.status.value if candidate.status else None,
        counted.fidelity.name.lower() if counted else None,
        " -> ".join(map(str, child.recipe.steps)),
        tuple(parent.id for parent in child.parents),
        "; ".join(f"{piece.stage}: {piece.reason}" for piece in (*candidate.evidence, *doubts)),
        child.idea,
        child.kernel.source,
    )
    return (candidate.id, candidate.run, candidate.generation, candidate.island, *numbers, *rest)
