"""Operators of the simplest kind that ask a model, for tests of the engine: the answer is the kernel, word for word."""

from __future__ import annotations

from evokern.plugins.protocols import Context
from evokern.records.completion import Finish, Message, Prompt
from evokern.records.kernel import Child, Kernel, Parent, Recipe


class Ask:
    """One parent's source goes out, a kernel comes back; an answer without ``kernel(`` is none."""

    name = "ask"
    arity = (1, 1)
    needs_model = True

    def propose(self, context: Context) -> Child | None:
        assert context.models is not None
        figures = [f"{one.child.operator} {one.speedup}" for one in context.history[-4:]]  # no ids: they follow time
        sample = int(context.rng.integers(2**31))
        sources = [parent.child.kernel.source for parent in context.parents]
        text = "\n".join([*figures, *(one.text for one in context.insights), *sources, f"attempt {sample}"])
        prompt = Prompt(self.name, (Message("user", text),), "ask", sample)
        answer = context.models.ask(prompt)
        if answer.finish is not Finish.STOP or "kernel(" not in answer.text:
            return None
        kernel = Kernel(answer.text)
        parents = tuple(Parent(parent.id) for parent in context.parents)
        return Child(kernel, self.name, Recipe(kernel), parents, completions=(answer.id,))


class AskFromNothing(Ask):
    """The same without a parent."""

    name = "ask_from_nothing"
    arity = (0, 0)


class Reflect:
    """Asks for a lesson."""

    name = "reflect"
    arity = (0, 0)
    needs_model = True
    reflects = True

    def propose(self, context: Context) -> None:
        assert context.models is not None
        text = f"What do {len(context.history)} kernels teach?"
        context.models.ask(Prompt(self.name, (Message("user", text),), "reflect"))


OPERATORS = {operator.name: operator for operator in (Ask, AskFromNothing, Reflect)}
