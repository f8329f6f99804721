"""The options that beat the YAML file, and how they are handed to `settings.load`: by dotted key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Verb = Callable[..., None]

KEYS = {
    "backend": "backend",
    "generations": "search.generations",
    "offspring": "search.offspring",
    "population": "search.population",
    "islands": "search.islands",
    "seed": "search.seed",
    "sampler": "search.sampler",
    "time_s": "budget.time_s",
    "evaluations": "budget.evaluations",
    "threads": "evaluation.threads",
    "cache": "evaluation.cache",
    "trust_kernels": "evaluation.trust_kernels",
    "models": "models",
    "verifying": "verification.models",
    "usd": "budget.usd",
    "tokens": "budget.tokens",
    "calls": "budget.calls",
    "device_s": "budget.device_s",
    "replay": "replay",
}

_OPTIONS = {
    "backend": click.option("--backend", metavar="NAME", help="The language of the kernels: cpp, triton, cuda, auto."),
    "generations": click.option("--generations", type=int, help="Batches of offspring after the seeds."),
    "offspring": click.option("--offspring", type=int, help="Children per generation, over all islands."),
    "population": click.option("--population", type=int, help="Survivors per island."),
    "islands": click.option("--islands", type=int, help="Subpopulations that evolve apart."),
    "seed": click.option("--seed", type=int, help="Random seed of every choice the search makes."),
    "sampler": click.option(
        "--sampler", metavar="NAME", help="How Optuna draws points: tpe, random, nsgaii.  [default: tpe]"
    ),
    "time_s": click.option("--time", "time_s", type=float, metavar="SECONDS", help="Stop searching after this long."),
    "evaluations": click.option("--evaluations", type=int, help="Stop after this many evaluations."),
    "threads": click.option("--threads", type=int, help="OpenMP threads; 0 means every usable core."),
    "cache": click.option(
        "--cache", type=click.Choice(["cold", "hot"]), help="Where the inputs are when the clock starts."
    ),
    "trust_kernels": click.option(
        "--trust-kernels", is_flag=True, default=None, help="Run kernels even where the system can't confine them."
    ),
    "models": click.option(
        "--model", "models", multiple=True, metavar="NAME", help="A language model, as litellm names it; repeatable."
    ),
    "verifying": click.option(
        "--verifier-model",
        "verifying",
        multiple=True,
        metavar="NAME",
        help="A model that soft verifiers ask; repeatable.",
    ),
    "usd": click.option("--usd", type=float, metavar="DOLLARS", help="Stop when models have cost this much."),
    "tokens": click.option("--tokens", type=int, help="Maximum number of tokens of language models."),
    "calls": click.option("--calls", type=int, help="Maximum number of calls of language models."),
    "device_s": click.option(
        "--device-time", "device_s", type=float, metavar="SECONDS", help="Stop after judging for this long."
    ),
    "replay": click.option(
        "--replay",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="ARCHIVE",
        help="Take the models' answers from ARCHIVE instead of asking them.",
    ),
}


def overriding(*names: str) -> Callable[[Verb], Verb]:
    """Gives a verb the options `names`; one that is left out changes nothing."""

    def decorate(verb: Verb) -> Verb:
        for name in reversed(names):
            verb = _OPTIONS[name](verb)
        return verb

    return decorate


INPUTS = click.option(
    "--input", "inputs", multiple=True, metavar="NAME=TYPE", help="An example input: x=float32[64,256], n=7."
)
"""Gives a verb the example inputs of a target that is PyTorch code."""

trusting = click.option(
    "--trust-archive",
    is_flag=True,
    help="Continue a run that was not begun here: its Python runs, its models are asked.",
)
"""Gives a verb the user's word for an archive of somebody else."""


def given(**options: Any) -> dict[str, object]:
    """Those of `options` that were given, by dotted key."""
    return {KEYS[name]: value for name, value in options.items() if value is not None and value != ()}
