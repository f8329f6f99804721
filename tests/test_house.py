"""The laws of the house: arrows point inward, files stay small, light modules stay light, the README is true."""

from __future__ import annotations

import ast
import importlib
import os
import re
import runpy
import site
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

import evokern
from evokern.cli import cli
from evokern.plugins import registry
from evokern.plugins.protocols import Inspection, Verifier
from evokern.records.kernel import Child, Kernel, Recipe
from evokern.records.outcome import Status
from evokern.records.task import Compare, Precision
from evokern.taskfile.settings import load
from evokern.testing.verifiers import VerifierSuite
from evokern.tuning.space import legal_points, misdeclared

ROOT = Path(__file__).parents[1]
ROOMS = ("evokern", "operators", "verifiers", "archives")
FILES = sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))
LIGHT = (
    "records.errors",
    "records.task",
    "records.kernel",
    "records.completion",
    "records.outcome",
    "plugins.protocols",
    "plugins.registry",
    "taskfile.settings",
    "toolchain.machine",
    "selection.front",
    "selection.lineage",
)
HEAVY = ("torch", "deap", "tree_sitter", "rich", "sqlite_utils", "pandas", "litellm")
README = (ROOT / "README.md").read_text()
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")


def module_name(file: Path) -> str:
    """Its name when installed: ``operators/mutate.py`` is ``evokern.operators.mutate``."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "evokern" else ("evokern", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}


def imports(name: str, whole_file: bool = False) -> Iterator[str]:
    """The evokern modules that `name` imports when it is imported itself; with `whole_file` those of any time."""
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in _statements(ast.parse(MODULES[name].read_text()), whole_file):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                base = package.split(".")[: len(package.split(".")) - node.level + 1]
                origin = ".".join([*base, *filter(None, [origin])])
            targets = [f"{origin}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            found = next((t for t in (target, target.rpartition(".")[0]) if t in MODULES and t != "evokern"), None)
            if found and found != name:
                yield found


def _statements(tree: ast.AST, whole_file: bool) -> Iterator[ast.AST]:
    """Every statement; unless `whole_file`, neither function bodies nor what only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        yield node
        runs_later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if whole_file or not (runs_later or for_types):
            yield from _statements(node, whole_file)


def test_no_import_circles():
    arrows = {name: set(imports(name)) for name in MODULES}
    finished: set[str] = set()

    def follow(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' -> '.join([*path[path.index(name) :], name])}"
        if name not in finished:
            for target in sorted(arrows[name]):
                follow(target, (*path, name))
            finished.add(name)

    for name in arrows:
        follow(name, ())


def folder(name: str) -> str:
    """The folder of a module."""
    return name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]


def test_no_circles_between_folders():
    """Imports of any time count: those in functions and those for types, too."""
    arrows: dict[str, set[str]] = defaultdict(set)
    for name in MODULES:
        arrows[folder(name)] |= {folder(target) for target in imports(name, whole_file=True)} - {folder(name)}
    standing = set(arrows)
    while lowest := {room for room in standing if not arrows[room] & standing}:
        standing -= lowest
    assert not standing, f"circles among {sorted(standing)}"


def test_few_modules_stand_loose_in_the_engine():
    loose = [file.name for file in (ROOT / "evokern").glob("*.py")]
    assert len(loose) <= 6, loose


def test_the_engine_knows_no_plugin_by_name():
    plugins = tuple(f"evokern.{room}." for room in ROOMS[1:])
    for name in MODULES:
        if not name.startswith(plugins):
            assert not [target for target in imports(name, whole_file=True) if target.startswith(plugins)], name


def test_nothing_imports_the_command_line():
    for name in MODULES:
        if not name.startswith("evokern.cli"):
            assert not [target for target in imports(name, whole_file=True) if target.startswith("evokern.cli")], name


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_file_over_400_lines(file: Path):
    assert len(file.read_text().splitlines()) <= 400


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_stay_light(name: str):
    code = f"import evokern.{name}, sys; print(*sorted(set(sys.modules) & {set(HEAVY)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_comes_without_the_libraries_of_a_search():
    code = "import evokern.cli, sys; print(*sorted(set(sys.modules) & {'numpy', 'pydantic', 'torch', 'rich', 'deap'}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    "name", ["evaluation.judge", "evaluation.rigs.baseline", "toolchain.compiler", "redteam.suite"]
)
def test_what_touches_candidates_has_nothing_of_models(name: str):
    code = f"import evokern.{name}, sys; print(*(one for one in sys.modules if one in ('litellm', 'evokern.models')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_only_the_command_line_prints():
    for name, file in MODULES.items():
        calls = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
        prints = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
        assert name.startswith("evokern.cli") or not prints, f"{file}: prints at {prints}"


def test_every_package_is_in_the_wheel():
    listed = set(re.findall(r'^    "(evokern[\w.]*)",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    assert {name.rpartition(".")[0] for name, file in MODULES.items() if file.name != "__init__.py"} <= listed


# The README --------------------------------------------------------------------------------------------------------


def readme_commands() -> list[list[str]]:
    """The `evokern ...` lines of the README's console blocks."""
    blocks = re.findall(r"```(?:console|sh)\n(.*?)```", README, re.DOTALL)
    lines = (line.removeprefix("$ ").split("#")[0].strip() for block in blocks for line in block.splitlines())
    return [line.split() for line in lines if line.startswith("evokern ")]


def test_the_readme_names_every_verb_and_no_other():
    table = set(re.findall(r"^\| `evokern (\w+)", README, re.MULTILINE))
    assert table == set(cli.commands)


@pytest.mark.parametrize("verb", sorted(cli.commands))
def test_the_readme_and_help_say_the_same_of_a_verb(verb: str):
    sentence = (cli.commands[verb].help or "").split("\n\n")[0].strip().rstrip(".")
    (line,) = [line for line in README.splitlines() if line.startswith(f"| `evokern {verb}")]
    assert sentence in line


def test_readme_commands_have_options_that_exist():
    commands = readme_commands()
    assert commands
    for _, verb, *arguments in commands:
        known = {option for parameter in cli.commands[verb].params for option in parameter.opts}
        for argument in arguments:
            assert not argument.startswith("-") or argument.split("=")[0] in known, f"{verb} has no {argument}"


def readme_block(language: str, containing: str) -> str:
    """The one fenced block of that language that contains these words."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (block,) = [block for block in blocks if containing in block]
    return str(block)


def test_the_readme_s_task_and_kernel_work(tmp_path: Path):
    (tmp_path / "scale.yaml").write_text(readme_block("yaml", "name: scale"))
    (tmp_path / "scale.py").write_text("def reference(x, factor):\n    return x * factor\n")
    (tmp_path / "scale.cpp").write_text(readme_block("cpp", "* factor"))
    settings = load(tmp_path / "scale.yaml")
    backend = registry.chosen("backends", [settings.backend])[settings.backend]
    kernel = settings.seeds[0]
    for verifier in registry.chosen("verifiers", None).values():
        verdict = verifier.verify(Child(kernel, "seed", Recipe(kernel)), Inspection(settings.task, backend))
        assert verdict.refusal is None, verdict


def test_the_readme_s_tunables_are_legal(tmp_path: Path):
    (tmp_path / "scale.yaml").write_text(readme_block("yaml", "name: scale"))
    (tmp_path / "scale.py").write_text("def reference(x, factor):\n    return x * factor\n")
    (tmp_path / "scale.cpp").write_text("void kernel();")
    kernel = Kernel(readme_block("cpp", "tunable ROWS"))
    task = load(tmp_path / "scale.yaml").task
    assert misdeclared(kernel, task) is None
    assert len(legal_points(kernel, task)) > 6


def test_the_readme_s_comparisons_and_policies_exist(tmp_path: Path):
    returns = readme_block("yaml", "compare: near_tie")
    task = readme_block("yaml", "name: scale").replace('  returns: {y: "float32[M, N]"}\n', returns)
    task = task.replace('"float32[M, N]"', '"float32[N, D]"').replace("M:", "D:")
    (tmp_path / "scale.py").write_text("def reference(x, factor):\n    return x.argmax(1).int(), x\n")
    (tmp_path / "scale.cpp").write_text("void kernel();")
    for policy in Precision:
        assert f"`precision: {policy}`" in README
        (tmp_path / "scale.yaml").write_text(task.replace("  check:", f"  precision: {policy}\n  check:"))
        loaded = load(tmp_path / "scale.yaml").task
        assert [tensor.comparison for tensor in loaded.returns] == [Compare.NEAR_TIE, Compare.EXACT]


def readme_plugin() -> type[Verifier]:
    """The class that the README shows as a plug-in."""
    room: dict[str, Any] = {}
    exec(readme_block("python", "PLUGIN"), room)
    return cast("type[Verifier]", room["PLUGIN"])


class TestTheReadmesPlugin(VerifierSuite):
    subject = readme_plugin()

    def test_it_refuses_what_it_says(self, verifier: Verifier, inspection: Inspection):
        kernel = Kernel("__builtin_prefetch(x);")
        assert verifier.verify(Child(kernel, "mutate", Recipe(kernel)), inspection).refusal is Status.REJECTED


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_that_a_document_names_exist(document: str):
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"run", "test", "quick", "check"} <= targets
    named = re.findall(r"(?:^\$ |`)make (\w+)", (ROOT / document).read_text(), re.MULTILINE)
    assert set(named) <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_a_document_names_exist(document: str):
    for name in re.findall(r"\]\(([\w./-]+)\)", (ROOT / document).read_text()):
        assert (ROOT / name).exists(), name


def test_classes_and_groups_that_contributing_names_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    suites = set(re.findall(r"`(evokern\.testing\.\w+)\.(\w+)`", text))
    assert len(suites) == 5
    for module, suite in suites:
        assert hasattr(importlib.import_module(module), suite)
    groups = set(re.findall(r"`evokern\.(operators[\w.]*|verifiers|archives|backends)`", text))
    for group in groups - {"operators.rewrites.LANGUAGE"}:
        assert registry.discover(group), group


def test_one_version_stands_everywhere():
    (project,) = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert f"\nversion: {project}\n" in (ROOT / "CITATION.cff").read_text()
    assert evokern.__version__ == project
    assert project in CliRunner().invoke(cli, ["--version"]).output


def test_the_least_versions_are_told_for_every_dependency():
    told = subprocess.run([sys.executable, ROOT / ".ci" / "minimum"], capture_output=True, text=True, check=True).stdout
    assert "torch==2.6\n" in told
    assert all(re.fullmatch(r"[\w.-]+==[\d.]+", line) for line in told.splitlines())


def test_hosted_ci_calls_what_is_here():
    calls = [
        line.split("run: ")[1].split()[0]
        for file in (ROOT / ".github" / "workflows").glob("*.yml")
        for line in file.read_text().splitlines()
        if "run: " in line
    ]
    assert {".ci/run", ".ci/minimum", "make"} == set(calls)
    assert all((ROOT / call).exists() for call in calls if "/" in call)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_as_the_readme_says(shell: str):
    assert f"_EVOKERN_COMPLETE={shell}_source evokern" in README
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['evokern']; from evokern.cli import main; main()"],
        cwd=ROOT, env={**os.environ, "_EVOKERN_COMPLETE": f"{shell}_source"}, capture_output=True, text=True,
    )  # fmt: skip
    assert "_evokern_completion" in done.stdout


def test_the_page_of_the_task_file_is_what_the_schema_says():
    page = runpy.run_path(str(ROOT / "docs" / "task_file.py"))["page"]()
    assert (ROOT / "docs" / "task-file.md").read_text() == page, "run python docs/task_file.py"


@pytest.mark.parametrize("verb", sorted(cli.commands))
def test_each_verb_explains_itself_and_its_options(verb: str):
    result = CliRunner().invoke(cli, [verb, "--help"])
    assert result.exit_code == 0
    assert all(
        getattr(parameter, "help", "")
        for parameter in cli.commands[verb].params
        if parameter.param_type_name == "option"
    )


@pytest.mark.parametrize("file", sorted((ROOT / "tests" / "benchmarks").glob("*.py")), ids=lambda file: file.stem)
def test_a_benchmark_is_as_new_as_what_it_measures(file: Path):
    """Each name that it imports is there: nobody runs most of them for months."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("evokern", "tests")):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name) or importlib.import_module(f"{node.module}.{alias.name}")


@pytest.mark.skipif(
    not any(Path(folder, "evokern-checkout.pth").exists() for folder in site.getsitepackages()),
    reason="not installed by make",
)
def test_beside_a_clone_the_package_is_imported_and_not_the_clone(tmp_path: Path):
    (tmp_path / "evokern").symlink_to(ROOT)
    done = subprocess.run(
        [sys.executable, "-c", "import evokern; evokern.evolve, evokern.check"],
        cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
