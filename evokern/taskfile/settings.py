"""The settings of a run: what the YAML file says, with every default filled in. The only source of defaults.

`load` reads a task file; `Settings.rebuilt` reads what an archive kept. `taskfile.py` turns the ``task:`` section into
a `Task`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic_core import ErrorDetails

from evokern.plugins import registry
from evokern.prompting.template import own_templates
from evokern.records.errors import EvokernError
from evokern.records.kernel import Kernel
from evokern.records.outcome import Cache
from evokern.records.task import Task
from evokern.taskfile.document import Document, read
from evokern.taskfile.section import ArgumentSection, ReturnSection, Section, TaskSection, build_task
from evokern.taskfile.wording import any_scalar, expected, kind, shown
from evokern.toolchain import machine
from evokern.toolchain.textfile import read_kernel_text

AUTO, CPP, TRITON = "auto", "cpp", "triton"
MODEL_VARIABLE = "EVOKERN_MODEL"
"""Names models, with commas between them, where neither the task file nor the command line does."""


class SearchSettings(Section):
    """How the search goes about it."""

    generations: int = Field(default=30, ge=0)
    """Batches of offspring after the seeds."""
    offspring: int = Field(default=16, ge=1)
    """Children per generation, over all islands."""
    population: int = Field(default=16, ge=2)
    """Survivors per island."""
    islands: int = Field(default=2, ge=1)
    """Subpopulations that evolve apart."""
    migrate_every: int = Field(default=5, ge=0)
    """Generations between two migrations among the islands; 0: never."""
    seed: int = Field(default=0, ge=0)
    """The random seed of every choice that the search makes."""
    operators: list[str] | None = None
    """Names of the operators that make children; all that are found when left out."""
    verifiers: list[str] | None = None
    """Names of the verifiers that children must pass; all that are found when left out."""
    in_flight: int = Field(default=8, ge=1)
    """Children that models are asked for at the same time."""
    reflect_every: int = Field(default=3, ge=0)
    """Generations between two lessons that a model draws from the search; 0: never."""
    sampler: Literal["tpe", "random", "nsgaii"] = "tpe"
    """How the operator tune draws points of a kernel's tunables, by Optuna."""
    device_usd_per_hour: float = Field(default=2.0, gt=0, allow_inf_nan=False)
    """What an hour of judging is worth: how the choice of operator and model weighs device time against money."""


class BudgetSettings(Section):
    """When to stop before the last generation."""

    time_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds of search; no limit when left out."""
    evaluations: int | None = Field(default=None, ge=1)
    """Kernels judged; no limit when left out."""
    device_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds of judging; no limit when left out."""
    usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Dollars paid to models; no limit when left out. Every model needs a known price then."""
    tokens: int | None = Field(default=None, ge=1)
    """Tokens of models, prompts and answers together; no limit when left out."""
    calls: int | None = Field(default=None, ge=1)
    """Requests to models; no limit when left out."""


class ModelSettings(Section):
    """A language model and how it is asked."""

    name: Annotated[str, Field(min_length=1)]
    """As litellm names it: anthropic/..., openai/..., hosted_vllm/... and so on."""
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """How much is expected of it, relative to the other models, before it has shown what it can do."""
    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """The provider's default when left out."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = None
    """How long a model that reasons may do so; the provider's default when left out."""
    api_base: str | None = None
    """Where it is served, e.g. http://localhost:8000/v1; the provider's own address when left out."""
    api_key_env: str | None = None
    """The environment variable that holds its key; the provider's usual one when left out, none beside api_base."""
    max_tokens: int = Field(default=16384, ge=1)
    """Longest answer, reasoning included."""
    timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds of silence after which a request is given up and sent again: an answer that arrives piece by piece is
    waited for. Left out: ten minutes, and after a first answer four times the slowest one, five minutes at least."""
    stream: bool = True
    """Ask for answers piece by piece; servers that can't are asked for the whole."""
    window_tokens: int | None = Field(default=None, ge=1)
    """What prompt and answer may have together, where the server lets the request say so (Ollama); it is fitted to the
    prompts when left out."""
    usd_per_million_in: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Price of a million tokens of prompts; litellm's own list when left out."""
    usd_per_million_out: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Price of a million tokens of answers; litellm's own list when left out."""


NamedModel = Annotated[
    Annotated[str, Tag("short"), Field(min_length=1)] | Annotated[ModelSettings, Tag("long")],
    Discriminator(lambda value: "long" if isinstance(value, dict | ModelSettings) else "short"),
]
"""A model by its name alone, or with how it is asked."""


class VerificationSettings(Section):
    """How kernels are looked over before they cost device time (verifiers/README.md)."""

    models: list[NamedModel] = Field(default=[])
    """Models that soft verifiers ask, within the budgets of the run; several weigh in together. Left out: none."""
    audited_share: float = Field(default=0.05, gt=0, le=1, allow_inf_nan=False)
    """Share of the refusals that the judge looks at all the same, to know what verifiers are worth."""
    good_lost: float = Field(default=0.05, gt=0, lt=1, allow_inf_nan=False)
    """Share of the good kernels that soft verifiers may refuse, all of them together."""

    @property
    def asked(self) -> tuple[ModelSettings, ...]:
        """The models."""
        return tuple(ModelSettings(name=one) if isinstance(one, str) else one for one in self.models)


class EvaluationSettings(Section):
    """The conditions that kernels are judged under."""

    threads: int = Field(default=0, ge=0)
    """OpenMP threads of kernels and baselines; 0: every usable core."""
    cache: Cache = Cache.COLD
    """Where the inputs are when the clock starts."""
    compile_cap_s: float = Field(default=60, gt=0, allow_inf_nan=False)
    """Seconds that torch.compile may take before it is left out of the baselines."""
    screen_ms: float = Field(default=20, gt=0, allow_inf_nan=False)
    """Kernel time per shape of a first measurement."""
    confirm_ms: float = Field(default=300, gt=0, allow_inf_nan=False)
    """Kernel time per shape of the measurement that a new best must survive."""
    champion_processes: int | None = Field(default=None, ge=1)
    """Fresh processes in which a champion is measured; by default 12 on a processor and 5 on a card."""
    trust_kernels: bool = False
    """Run kernels even where the system can't confine them: for kernels that you wrote, or a machine to throw away."""


class _Common(Section):
    """What a task file and the settings made from it have alike."""

    backend: str = AUTO
    """The language of the kernels; auto: Triton where there are a GPU and a Triton seed, else C++, or the language of
    the first seed where none is in C++."""
    search: SearchSettings = SearchSettings()
    verification: VerificationSettings = VerificationSettings()
    budget: BudgetSettings = BudgetSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    replay: str | None = None
    """An archive whose answers stand in for the models: the search runs again without them."""


class TaskFile(_Common):
    """An evokern task: a PyTorch reference, the shapes that matter, and how to search for a faster kernel."""

    task: TaskSection
    seeds: list[str] = Field(default=[])
    """Kernel files to start from, in any languages (.cpp, .py for Triton, .cu); those of the backend are used.
    Paths are relative to this file."""
    archive: str | None = None
    """The SQLite file that remembers the search; archives/<task>.db in the current folder when left out."""
    models: list[NamedModel] = Field(default=[])
    """The language models that propose kernels; those that EVOKERN_MODEL names when left out, or none."""
    prompts: str | None = None
    """A folder of your own prompts: each replaces the built-in one of the same name; relative to this file."""


class Settings(_Common):
    """A run's settings, complete in themselves: sources are read, defaults filled in, everything checked."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    task: Task
    seeds: tuple[Kernel, ...] = ()
    archive: Path
    models: tuple[ModelSettings, ...] = ()
    prompts: dict[str, str] = Field(default={})
    """Texts of the user's own templates by their names."""

    @classmethod
    def rebuilt(cls, text: str, overrides: Mapping[str, object] | None = None) -> Self:
        """The settings that `model_dump_json` wrote, with `overrides` by dotted key (``{"search.generations": 5}``).

        Raises:
            EvokernError: an override names no setting or has the wrong type, or `text` holds no settings.
        """
        document = Document(Path("archived settings"))
        try:
            document.data = json.loads(text)
            _override(document, overrides or {})
            return cls.model_validate_json(json.dumps(document.data))
        except ValidationError as error:
            raise _explain(error, document, cls) from error
        except ValueError as error:
            raise EvokernError(f"expected settings as evokern archives them: {error}") from error


def load(path: Path, overrides: Mapping[str, object] | None = None) -> Settings:
    """Reads a task file and the files that it names.

    Args:
        path: the YAML file.
        overrides: values that beat the file's, by dotted key, e.g. ``{"search.generations": 5}``.

    Raises:
        EvokernError: names file, line and column, what was expected, what came and what to do.
    """
    document = read(Path(path))
    _override(document, overrides or {})
    if not _models(document):
        document.override({"models": [model.name for model in named_models()]})
    try:
        wanted = TaskFile.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        raise _explain(error, document, TaskFile) from error
    if (excess := too_many_threads(wanted.evaluation)) is not None:
        raise document.error(("evaluation", "threads"), excess)
    task = build_task(wanted.task, document)
    backend, _ = choose_backend(wanted.backend, wanted.seeds)
    seeds = [
        _seed(document, index, name, backend)
        for index, name in enumerate(wanted.seeds)
        if language_of(name, backend) == backend
    ]
    common = {name: getattr(wanted, name) for name in _Common.model_fields} | {"backend": backend}
    return Settings(
        task=task,
        seeds=tuple(seeds),
        archive=Path(wanted.archive or f"archives/{task.name}.db"),
        models=tuple(ModelSettings(name=one) if isinstance(one, str) else one for one in wanted.models),
        prompts=_prompts(document, wanted.prompts) if wanted.prompts else {},
        **common,
    )


def too_many_threads(evaluation: EvaluationSettings) -> str | None:
    """What is wrong with more threads than there are cores: they would wait for each other, and no figure be true."""
    cores = machine.usable_cores()
    if evaluation.threads <= cores:
        return None
    return (
        f"expected at most {cores} threads, as many as this process has cores, got {evaluation.threads}; 0 means every "
        "usable core"
    )


def language_of(file: str, otherwise: str) -> str:
    """The language of a kernel file by its suffix; `otherwise` when no backend claims the suffix."""
    suffixes = {backend.suffix: backend.language for backend in registry.discover("backends").values()}
    return str(suffixes.get(Path(file).suffix, otherwise))


def choose_backend(wanted: str, seeds: Sequence[str]) -> tuple[str, str]:
    """The backend that ``auto`` means here, or `wanted` itself; and why.

    Args:
        seeds: the kernel files that a task names.
    """
    if wanted != AUTO:
        return wanted, "the settings say so"
    languages = [language_of(seed, CPP) for seed in seeds]
    if TRITON in languages and machine.has_gpu():
        return TRITON, "there are a GPU and a Triton seed"
    if CPP in languages or not languages:
        return CPP, "there is no Triton seed" if machine.has_gpu() else "there is no GPU"
    return languages[0], f"the task has seeds for {languages[0]} only"


def read_kernel(file: Path, settings: Settings) -> Kernel:
    """The kernel in `file`, in the language of the settings' backend.

    Raises:
        EvokernError: it can't be read.
    """
    try:
        return Kernel(read_kernel_text(file), settings.backend)
    except (OSError, ValueError) as error:
        raise EvokernError(f"expected a kernel file at {file}: {error}") from error


def named_models(names: object = None) -> tuple[ModelSettings, ...]:
    """Models that are known by their names alone: `names`, else those in EVOKERN_MODEL."""
    known = names if isinstance(names, list | tuple) else os.environ.get(MODEL_VARIABLE, "").split(",")
    return tuple(ModelSettings(name=name.strip()) for name in known if name.strip())


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a task file, for editors that complete and check YAML."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **TaskFile.model_json_schema()}


def _override(document: Document, overrides: Mapping[str, object]) -> None:
    """As `Document.override`; a model that is chosen by its name keeps the settings that it has in the file."""
    declared = {model["name"]: model for model in _models(document) if isinstance(model, dict) and "name" in model}
    document.override(overrides)
    if "models" in overrides and isinstance(document.data, dict):
        document.data["models"] = [
            declared.get(name, {"name": name}) if isinstance(name, str) else name for name in _models(document)
        ]


def _models(document: Document) -> list[Any]:
    found = document.data.get("models") if isinstance(document.data, dict) else None
    return found if isinstance(found, list) else []


def _seed(document: Document, index: int, name: str, language: str) -> Kernel:
    file = document.file.parent / name
    try:
        return Kernel(read_kernel_text(file), language)
    except (OSError, ValueError) as error:
        raise document.error(
            ("seeds", index), f"expected a kernel file at {file}: {error}; paths are relative to {document.file}"
        ) from error


def _prompts(document: Document, name: str) -> dict[str, str]:
    try:
        return own_templates(document.file.parent / name, registry.folder("operators") / "prompts")
    except EvokernError as error:
        raise document.error(("prompts",), str(error)) from error


def _explain(error: ValidationError, document: Document, model: type[BaseModel]) -> EvokernError:
    """pydantic's findings, a line each, at their places in the file."""
    faults = map(any_scalar, error.errors(include_url=False))
    lines = dict.fromkeys(str(_fault(fault, document, model)) for fault in faults)
    return EvokernError("\n".join(lines))


def _fault(fault: ErrorDetails, document: Document, model: type[BaseModel]) -> EvokernError:
    """One finding. Steps of pydantic's path that the data does not have are a union's tags, but for a missing key."""
    path: tuple[str | int, ...] = ()
    for step in fault["loc"]:
        if document.has((*path, step)):
            path = (*path, step)
    if fault["type"] == "missing":
        return document.error((*path, fault["loc"][-1]), "expected this key, it is missing; add it")
    value = fault["input"]
    if fault["type"] == "extra_forbidden":
        known = _keys_at(path[:-1], model)
        unit = [key for key in known if key.startswith(f"{path[-1]}_")]
        close = unit or get_close_matches(str(path[-1]), known, n=1)
        meant = f"did you mean {close[0]!r}? " if close else ""
        advice = meant if unit else _home(str(path[-1]), model) or meant
        return document.error(path, f"unknown key; {advice}known here: {', '.join(known)}")
    return document.error(
        path, f"{expected(fault)}, got {shown(value)} ({kind(value)}); correct the value or leave the key out"
    )


def _home(key: str, model: type[BaseModel]) -> str:
    """Where `key` belongs, if there is such a place."""
    if key in model.model_fields:
        return "it belongs at the top level; "
    kinds = {name: field.annotation for name, field in model.model_fields.items()}
    sections = {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}
    home = next((name for name, section in sections.items() if key in section.model_fields), None)
    return f"it belongs under `{home}:`; " if home else ""


def _keys_at(path: tuple[str | int, ...], model: type[BaseModel]) -> list[str]:
    """The keys that the section at `path` may have."""
    for step in path:
        field = model.model_fields.get(str(step))
        if field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
        elif str(step) == "models":
            model = ModelSettings
        elif field is None and model is not ModelSettings:
            model = ReturnSection if "returns" in path else ArgumentSection
    return sorted(model.model_fields)
