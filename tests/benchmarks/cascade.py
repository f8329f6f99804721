"""How the cascade deals with models that err at random: estimates, good kernels lost, wrong ones stopped.

    python -m tests.benchmarks.cascade               # 8 searches a model

No model and no judge: a search of 1000 kernels is played, half of them wrong. The model is nearly sure, and right, of
a share of them; of the others it guesses, and says so: its accuracy follows. A wrong kernel costs the judge 5 s.

Estimates are held against what the model did to the kernels that it was asked about, those included whose refusals
stood and which no judge saw; and against its accuracy, from which what it did differs by chance.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from evokern.plugins import registry
from evokern.plugins.protocols import Verifier
from evokern.records.kernel import Child, Recipe
from evokern.records.outcome import Candidate, Evaluation, Evidence, Fidelity, Status, Verdict
from evokern.taskfile.settings import Settings, load
from evokern.verification.calibration import LEAST_DOUBT, track_records
from evokern.verification.cascade import Mode, cascade
from tests.search.test_search import TASK
from tests.server.reviewer import SURE, UNSURE

KERNELS, BATCH, VERDICTS, JUDGE_S = 1000, 20, 200, 5.0
WHY = Evidence("numerics", "it looks wrong")


@dataclass(frozen=True)
class Played:
    """What came of one search."""

    off_by: float | None
    """The greater of the errors of recall and false refusals after `VERDICTS` verdicts, against what the model did to
    these kernels; None: it gave fewer."""
    off_accuracy_by: float | None
    """The same against its accuracy."""
    mode: Mode
    good_lost: float
    """Share of the good kernels that were refused."""
    wrong_stopped: float
    asked: int


def played(accuracy: float, usd: float, seed: int) -> Played:
    """A search with a model of `accuracy` whose verdicts cost `usd` each."""
    chance = random.Random(f"{accuracy} {usd} {seed}")
    settings = load(TASK, {"search.verifiers": ["numerics"], "verification.models": ["openai/test"]})
    verifiers: dict[str, Verifier] = registry.chosen("verifiers", ["numerics"])
    history: list[Candidate] = []
    truth: list[bool] = []
    off_by: float | None = None
    off_accuracy_by: float | None = None
    while len(history) < KERNELS:
        batch = list(_batch(history, truth, accuracy, usd, chance, verifiers, settings))
        history += batch
        record = track_records(history, ()).get("numerics")
        if off_by is None and record is not None and len(record.spoken) >= VERDICTS:
            estimates = record.recall(), record.false_refusals()
            off_by = _farthest(estimates, [_refused(history, truth, wrong) for wrong in (True, False)])
            off_accuracy_by = _farthest(estimates, (accuracy, 1 - accuracy))
    lost = [not wrong for one, wrong in zip(history, truth, strict=True) if one.refusal is not None]
    (trust,) = cascade(verifiers, history, settings)
    return Played(
        off_by,
        off_accuracy_by,
        trust.mode,
        sum(lost) / truth.count(False),
        (len(lost) - sum(lost)) / truth.count(True),
        sum(bool(one.verdicts) for one in history),
    )


def _refused(history: Sequence[Candidate], truth: Sequence[bool], wrong: bool) -> float:
    """The share of the wrong or of the good kernels that the model would refuse, whatever came of that."""
    seen = [
        one.verdicts[0].doubt
        for one, is_wrong in zip(history, truth, strict=True)
        if one.verdicts and is_wrong is wrong
    ]
    return fmean(doubt is not None and doubt >= LEAST_DOUBT for doubt in seen)


def _farthest(estimates: Iterable[float], truths: Iterable[float]) -> float:
    return max(abs(estimate - one) for estimate, one in zip(estimates, truths, strict=True))


def _batch(
    history: list[Candidate], truth: list[bool], accuracy: float, usd: float, chance: random.Random,
    verifiers: dict[str, Verifier], settings: Settings,
) -> Iterator[Candidate]:  # fmt: skip
    share = settings.verification.audited_share
    (trust,) = cascade(verifiers, history, settings)
    for _ in range(BATCH):
        wrong = chance.random() < 0.5
        truth.append(wrong)
        kernel = settings.seeds[0]
        candidate = Candidate(1, 1, len(truth), 0, Child(kernel, "mutate", Recipe(kernel)))
        if trust.mode is not Mode.OFF or chance.random() < share:
            verdict = trust.heeded(_verdict(wrong, accuracy, usd, chance), chance.random() < share)
            candidate = replace(candidate, verdicts=(verdict,))
        if candidate.refusal is None:
            status = Status.WRONG if wrong else Status.PASSED
            candidate = replace(candidate, evaluations=(Evaluation(status, Fidelity.SCREEN, judge_s=JUDGE_S),))
        yield candidate


def _verdict(wrong: bool, accuracy: float, usd: float, chance: random.Random) -> Verdict:
    is_clear = chance.random() < 2 * accuracy - 1
    refuses = wrong if is_clear else chance.random() < 0.5
    confidence = SURE if is_clear else UNSURE
    doubt = confidence if refuses else 1 - confidence
    return Verdict("numerics", 0.0, Status.WRONG if refuses else None, WHY if refuses else None, doubt, usd)


def _errors(found: Iterable[float | None]) -> str:
    told = [one for one in found if one is not None]
    return f"{fmean(told):.3f}, worst {max(told):.3f}" if told else "-"


def main(seeds: int) -> None:
    heads = (
        "accuracy", "$ a verdict", "estimates off by", "off the accuracy by", "at the end", "good lost, worst",
        "wrong stopped", "asked",
    )  # fmt: skip
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for accuracy in (0.8, 0.6, 0.5):
        for usd in (0.0002, 0.004):
            found = [played(accuracy, usd, seed) for seed in range(seeds)]
            cells = (
                f"{accuracy}",
                f"{usd}",
                _errors([one.off_by for one in found]),
                _errors([one.off_accuracy_by for one in found]),
                ", ".join(sorted({str(one.mode) for one in found})),
                f"{max(one.good_lost for one in found):.1%}",
                f"{fmean(one.wrong_stopped for one in found):.0%}",
                f"{fmean(one.asked for one in found):.0f} of {KERNELS}",
            )
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
