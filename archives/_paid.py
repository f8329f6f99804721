"""The paid-for log: exchanges with language models into rows and back. Called inside a transaction."""

from __future__ import annotations

import hashlib
import zlib
from collections import defaultdict
from dataclasses import replace

from sqlite_utils import Database

from evokern.completion import Completion, Exchange, Finish, Flaw, Flawed, Message, Prompt
from evokern.errors import EvokernError

from ._values import from_integer, to_integer
from ._writing import insert

_COLUMNS = (
    "id, run, generation, place, key, operator, template, sample, model, finish, prompt_tokens, completion_tokens, "
    "reasoning_tokens, cost_usd, latency_s, attempts, lost, asked_at, answer, reasoning, flaw"
)


def remember(db: Database, exchange: Exchange) -> int:
    """Stores the exchange unless its exact twin is there; returns its id."""
    for known in exchanges(db, "run = ? AND key = ?", (exchange.run, exchange.key)):
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


def exchanges(db: Database, condition: str, parameters: tuple[object, ...]) -> tuple[Exchange, ...]:
    """Those whose row in `completions` meets `condition`, oldest first."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM completions WHERE {condition} ORDER BY id", parameters).fetchall()
    chosen = f"FROM completions WHERE {condition}"
    spoken: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for key, role, text in db.execute(
        f"SELECT completion, role, text FROM messages WHERE completion IN (SELECT id {chosen}) "
        "ORDER BY completion, position",
        parameters,
    ):
        spoken[key].append((role, text))
    texts = {
        key: zlib.decompress(compressed).decode()
        for key, compressed in db.execute(
            f"SELECT id, compressed FROM texts WHERE id IN (SELECT answer {chosen} UNION SELECT reasoning {chosen} "
            f"UNION SELECT text FROM messages WHERE completion IN (SELECT id {chosen}))",
            parameters * 3,
        )
    }
    return tuple(
        Exchange(
            run,
            generation,
            place,
            content,
            Prompt(
                operator,
                tuple(Message(role, texts[text]) for role, text in spoken[key]),
                template,
                from_integer(sample) or 0,
            ),
            Completion(
                key, model, texts[answer], texts[reasoning], Finish(finish), asked, answered, reasoned, cost, latency,
                attempts, lost,
            ),
            asked_at,
            Flaw(flaw) if flaw else None,
        )
        for (
            key, run, generation, place, content, operator, template, sample, model, finish, asked, answered, reasoned,
            cost, latency, attempts, lost, asked_at, answer, reasoning, flaw,
        ) in rows
    )  # fmt: skip


def _text(db: Database, text: str) -> int:
    """The id of the text, stored when it is new."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    known = db.execute("SELECT id FROM texts WHERE hash = ?", (digest,)).fetchone()
    return int(known[0]) if known else insert(db, "texts", hash=digest, compressed=zlib.compress(text.encode(), 9))
