"""A search as it goes: the figures of one generation, for a plain line or a row of the live table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evokern.prompting.quote import inline
from evokern.records import figures
from evokern.records.outcome import Candidate, Evaluation, Status
from evokern.report.benchmark import doubts
from evokern.report.recipe import short_recipe
from evokern.selection.lead import leader

IDEA_CHARS = 120
"""Of what a model says of its kernel, in a line."""


@dataclass(frozen=True)
class Standing:
    """Where the search stands after a generation."""

    generation: int
    proposed: int
    """Candidates so far, those refused before they reached the judge included."""
    judged: int
    passed: int
    best: Candidate | None
    elapsed_s: float
    spent: str = ""
    """On models and device, of what may be spent (`models.account`)."""

    def __str__(self) -> str:
        counts = f"{self.proposed} proposed, {self.judged} judged, {self.passed} passed"
        parts = (self.summary, counts, self.spent, figures.seconds(self.elapsed_s))
        return f"generation {self.generation}: {'; '.join(filter(None, parts))}"

    @property
    def summary(self) -> str:
        """The best kernel so far in a few words."""
        evaluation = self.best.evaluation if self.best else None
        if self.best is None or evaluation is None:
            return "no kernel has passed yet"
        if not evaluation.measurements:
            return f"{self.best.id} leads untimed, error {figures.error(evaluation.rms_error)}"
        ratios = [f"{_in_short(evaluation, name)} over {name}" for name in ("best", "eager")]
        return f"{self.best.id} leads with {', '.join(ratios)}, error {figures.error(evaluation.rms_error)}"


def standing(generation: int, history: Sequence[Candidate], elapsed_s: float, spent: str = "") -> Standing:
    """Counts over `history`; the best is its leader."""
    return Standing(
        generation=generation,
        proposed=len(history),
        judged=sum(1 for candidate in history if candidate.evaluations),
        passed=sum(1 for candidate in history if candidate.status is Status.PASSED),
        best=leader(history),
        elapsed_s=elapsed_s,
        spent=spent,
    )


def candidate_line(candidate: Candidate) -> str:
    """One candidate as it is remembered (`-v`): outcome, then how it was made, then why it was refused."""
    evaluation = candidate.evaluation
    if candidate.speedup is not None and evaluation is not None:
        error = figures.error(evaluation.rms_error)
        result = f"{_in_short(evaluation, 'best')}, error {error}, {evaluation.fidelity.name.lower()}"
    else:
        result = candidate.status.value if candidate.status else "not judged yet"
    why = f"  ({candidate.evidence[0].reason})" if candidate.evidence else ""
    idea = f"  {inline(candidate.child.idea, IDEA_CHARS)}" if candidate.child.idea else ""
    return f"  {candidate.id}: {result}  {candidate.child.operator}: {short_recipe(candidate.child)}{idea}{why}"


def claim_line(champion: Candidate) -> str:
    """What the search claimed of a champion beside what fresh processes measured."""
    claimed = champion.evaluations[-2] if len(champion.evaluations) > 1 else None
    again = champion.evaluations[-1]
    if again.status is not Status.PASSED:
        return f"candidate {champion.id} failed when measured again: {again.status.value}"
    if not again.measurements:
        return (
            f"candidate {champion.id}: right again on fresh inputs, error {figures.error(again.rms_error)}; not timed"
        )
    unsure = "".join(f"\n  {line}" for line in doubts(again))
    before = figures.ratio(figures.over(claimed, "best") if claimed else None)
    best, eager = (figures.ratio(figures.over(again, name)) for name in ("best", "eager"))
    return (
        f"candidate {champion.id}: claimed {before} over best; "
        f"re-measured in fresh processes {best} over best, {eager} over eager"
        f"{figures.best_of(again)}{_other_neighbours(claimed, again)}{unsure}"
    )


def _in_short(evaluation: Evaluation, baseline: str) -> str:
    """The ratio without its interval; with it where there is no figure."""
    if evaluation.doubts:
        return figures.ratio(figures.over(evaluation, baseline))
    return figures.ratio(evaluation.speedup(baseline))


def _other_neighbours(claimed: Evaluation | None, again: Evaluation) -> str:
    """That the machine was more or less contended the second time, if it was."""
    before, after = (figures.contention(one) if one else None for one in (claimed, again))
    if before is None or after is None or 1 / figures.OTHER <= after / before <= figures.OTHER:
        return ""
    return f" (contention was {figures.ratio(before)}, then {figures.ratio(after)})"
