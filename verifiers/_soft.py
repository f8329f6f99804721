"""Soft verifiers: a model reads the kernel and gives an opinion. They refuse or let pass, and never accept.

Their calls are calls like an operator's: within the budgets of the run, in its paid-for log before they are read, and
answered from it after a crash. A refusal must survive one round of reflection. Several models weigh in together: the
verdict's doubt is the mean of theirs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from evokern.plugins.protocols import Inspection
from evokern.records.completion import Completion, Message, NoAnswer, Prompt
from evokern.records.kernel import Child, Kernel
from evokern.records.outcome import Evidence, Status, Verdict
from evokern.verification.calibration import LEAST_DOUBT

from ._opinion import Opinion, read_opinion
from ._question import named, question, system


@dataclass
class _Answers:
    """What one model said and what it cost."""

    completions: list[Completion] = field(default_factory=list)
    opinion: Opinion | None = None
    silence: str = ""
    """Why there is no opinion."""


class SoftVerifier:
    """The base of the verifiers that ask models; a subclass says what it is called and what it looks for."""

    name: str
    price_s = 0.01
    needs_model = True
    refusal: Status
    """What it expects the judge to say of a kernel that it refuses."""

    def verify(self, child: Child, inspection: Inspection) -> Verdict:
        started = time.perf_counter()
        messages = (Message("system", system(inspection)), Message("user", question(self.name, child, inspection)))
        answers = [self._asked(model, messages, inspection) for model in inspection.asked]
        completions = [one for answer in answers for one in answer.completions]
        waited_s = sum(one.latency_s for one in completions)
        opinions = [answer.opinion for answer in answers if answer.opinion is not None]
        costs = [one.cost_usd for one in completions]
        silence = "; ".join(answer.silence for answer in answers) or "no model is configured"
        doubt = fmean(one.doubt for one in opinions) if opinions else None
        refused = doubt is not None and doubt >= LEAST_DOUBT
        return Verdict(
            self.name,
            max(0.0, time.perf_counter() - started - waited_s),
            self.refusal if refused else None,
            self._evidence(opinions, child.kernel) if refused else None,
            doubt,
            None if None in costs else sum(one for one in costs if one is not None),
            sum(one.prompt_tokens + one.completion_tokens for one in completions),
            "" if opinions else silence,
        )

    def _asked(self, model: str, messages: Sequence[Message], inspection: Inspection) -> _Answers:
        """The opinion of one model; a refusal is asked about once more, and the second answer counts."""
        assert inspection.models is not None
        found, template, conversation = _Answers(), self.name, list(messages)
        try:
            for _ in range(2):
                prompt = Prompt(self.name, tuple(conversation), template)
                found.completions.append(inspection.models.ask(prompt, model))
                text = found.completions[-1].text
                found.opinion = read_opinion(text)
                if found.opinion is None:
                    found.silence = f"{model} gave no verdict that can be read"
                if found.opinion is None or found.opinion.accepts:
                    break
                template = "reflect"
                conversation += [Message("assistant", text), Message("user", named("reflect", inspection))]
        except NoAnswer as none:
            found.opinion, found.silence = None, str(none)
        return found

    def _evidence(self, opinions: Sequence[Opinion], kernel: Kernel) -> Evidence:
        """The words of the one that doubts most, and the line that it means."""
        opinion = max(opinions, key=lambda one: one.doubt)
        lines = kernel.source.split("\n")
        if opinion.line is None or not 1 <= opinion.line <= len(lines):
            return Evidence(self.name, opinion.reason)
        reason = f"line {opinion.line}: {opinion.reason}"
        return Evidence(self.name, reason, f"{opinion.line} | {lines[opinion.line - 1].strip()}")
