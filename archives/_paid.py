"""The paid-for log: exchanges with language models into rows and back. Called inside a transaction."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from sqlite_utils import Database

from evokern.records.completion import Completion, Exchange, Finish, Flaw, Flawed, Message, Prompt
from evokern.records.errors import EvokernError

from ._reading import Damage, Groups, kept, read, sound
from ._values import amount, from_integer, from_text, maybe_amount, text, to_integer, to_text, whole
from ._writing import insert

_COLUMNS = (
    "id, run, generation, place, key, operator, template, sample, model, finish, prompt_tokens, completion_tokens, "
    "reasoning_tokens, cost_usd, latency_s, attempts, lost, asked_at, answer, reasoning, flaw"
)


def remember(db: Database, exchange: Exchange) -> int:
    """Stores the exchange unless its exact twin is there; returns its id."""
    for known in exchanges(db, "run = ? AND key = ?", (exchange.run, exchange.key), {}):
        identified = replace(exchange, completion=replace(exchange.completion, id=known.completion.id))
        if known == identified:
            return known.completion.id
    prompt, completion = exchange.prompt, exchange.completion
    key = insert(
        db,
        "completions",
        run=exchange.run,
        generation=exchange.generation,
        place=exchange.index,
        key=exchange.key,
        operator=prompt.operator,
        template=prompt.template,
        sample=to_integer(prompt.sample),
        model=completion.model,
        finish=completion.finish.value,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        reasoning_tokens=completion.reasoning_tokens,
        cost_usd=completion.cost_usd,
        latency_s=completion.latency_s,
        attempts=completion.attempts,
        lost=completion.lost,
        asked_at=exchange.asked_at,
        answer=_text(db, completion.text),
        reasoning=_text(db, completion.reasoning),
        flaw=exchange.flaw,
    )
    for position, message in enumerate(prompt.messages):
        insert(db, "messages", completion=key, position=position, role=message.role, text=_text(db, message.text))
    return key


def mark(db: Database, flawed: Flawed) -> int:
    """Writes the flaw beside its answer; returns the answer's id.

    Raises:
        EvokernError: the log holds no such answer.
    """
    if not db.execute("UPDATE completions SET flaw = ? WHERE id = ?", (flawed.flaw, flawed.completion)).rowcount:
        raise EvokernError(f"expected a flaw of an answer in the log, got one of answer {flawed.completion}")
    return flawed.completion


def exchanges(db: Database, condition: str, parameters: tuple[object, ...], damage: Damage) -> tuple[Exchange, ...]:
    """Those whose row in `completions` meets `condition`, oldest first."""
    chosen = f"FROM completions WHERE {condition}"
    texts = {
        row[0]: read(f"texts, row {row[0]}", from_text, row[1:])
        for row in db.execute(
            f"SELECT id, compressed FROM texts WHERE id IN (SELECT answer {chosen} UNION SELECT reasoning {chosen} "
            f"UNION SELECT text FROM messages WHERE completion IN (SELECT id {chosen}))",
            parameters * 3,
        )
    }

    def message(role: Any, said: Any) -> Message:
        return Message(text(role), sound(texts[said]))

    spoken = Groups(
        (row[0], read("messages", message, row[1:]))
        for row in db.execute(
            f"SELECT completion, role, text FROM messages WHERE completion IN (SELECT id {chosen}) "
            "ORDER BY completion, position",
            parameters,
        )
    )

    def exchange(
        key: Any, run: Any, generation: Any, place: Any, content: Any, operator: Any, template: Any, sample: Any,
        model: Any, finish: Any, asked: Any, answered: Any, reasoned: Any, cost: Any, latency: Any, attempts: Any,
        lost: Any, asked_at: Any, answer: Any, reasoning: Any, flaw: Any,
    ) -> Exchange:  # fmt: skip
        completion = Completion(
            whole(key),
            text(model),
            sound(texts[answer]),
            sound(texts[reasoning]),
            Finish(finish),
            whole(asked),
            whole(answered),
            whole(reasoned),
            maybe_amount(cost),
            amount(latency),
            whole(attempts),
            whole(lost),
        )
        prompt = Prompt(text(operator), spoken.of(key), text(template), from_integer(sample) or 0)
        noted = Flaw(flaw) if flaw is not None else None
        place_in_run = (whole(run), whole(generation), whole(place))
        return Exchange(*place_in_run, text(content), prompt, completion, text(asked_at), noted)

    rows = db.execute(f"SELECT {_COLUMNS} FROM completions WHERE {condition} ORDER BY id", parameters).fetchall()
    return kept(((f"answer {row[0]}", read("completions", exchange, row)) for row in rows), damage)


def _text(db: Database, content: str) -> int:
    """The id of the text, stored when it is new."""
    digest = hashlib.sha256(content.encode()).hexdigest()
    known = db.execute("SELECT id FROM texts WHERE hash = ?", (digest,)).fetchone()
    return int(known[0]) if known else insert(db, "texts", hash=digest, compressed=to_text(content))
