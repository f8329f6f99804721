"""What models were asked for a candidate and what they answered, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import replace

from evokern.records.completion import Completion, Exchange, Finish, Message, Prompt
from evokern.records.kernel import Parent
from evokern.report import candidate, lineage
from tests.specimens import passed

WRITTEN = passed(2, 2.0, parents=(Parent(1),))
CHILD = replace(WRITTEN, child=replace(WRITTEN.child, completions=(11, 12), insights=(3,), idea="rows: four at a time"))


def exchange(id: int, template: str = "mutate", text: str = "an answer") -> Exchange:
    messages = (Message("system", "the task"), Message("user", "the question"))
    if template == "mend":
        messages = (*messages, Message("assistant", "an answer"), Message("user", "that can't be used"))
    prompt = Prompt("mutate", messages, template, 7)
    completion = Completion(id, "openai/one", text, "hm", Finish.STOP, 1000, 500, 200, 0.01, 4.5)
    return Exchange(1, 1, 0, f"key {id}", prompt, completion)


LOG = (exchange(11), exchange(12, "mend", "another answer"), exchange(13, text="for somebody else"))


def test_a_conversation_is_told_once_and_in_order() -> None:
    lines = candidate.conversations(CHILD, LOG).splitlines()
    told = [line for line in lines if not line.startswith("-- ") and line not in ("", "hm")]
    assert told == ["the task", "the question", "an answer", "that can't be used", "another answer"]


def test_json_holds_prompts_answers_idea_and_lessons() -> None:
    sheet = json.loads(candidate.as_json(CHILD, LOG))
    assert [one["completion"]["id"] for one in sheet["exchanges"]] == [11, 12]
    assert sheet["exchanges"][1]["prompt"]["messages"][3] == {"role": "user", "text": "that can't be used"}
    node, root = json.loads(lineage.as_json(CHILD, {1: passed(1, 1.0)}, {one.completion.id: one for one in LOG}))
    assert [answer["template"] for answer in node["answers"]] == ["mutate", "mend"]
    assert (node["idea"], node["lessons"]) == ("rows: four at a time", [3])
    assert root["answers"] == []


def test_show_names_the_lessons_that_its_author_was_shown() -> None:
    assert "lessons   answers 3 were shown" in candidate.text(CHILD, LOG)
