"""No process that a search starts holds a key: all are looked at from outside, again and again, while it runs.

What is allowed: the engine holds the key, in its environment and its memory, and so does a copy of it for the moment
between fork and exec, when it has become nothing else yet (its command line is still the engine's). So does `uname`,
by which Python's `platform` learns of the machine. Everything else is refused: judge, baselines, compilers, nurseries,
and whatever runs a candidate.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from evokern.archive import Archive
from evokern.taskfile.settings import load
from tests.server.server import ModelServer
from tests.server.synthetic import Synthetic
from tests.thorough import first

pytestmark = pytest.mark.skipif(not Path("/proc/thread-self/children").exists(), reason="needs Linux's /proc")

GLANCE_S = 0.002
TASK = Path(__file__).parents[2] / "examples" / "rmsnorm.yaml"
ENGINE = """\
import json, sys
from pathlib import Path
from evokern.loop import evolve
from evokern.search.search import begin
from evokern.taskfile.settings import load
with begin(load(sys.argv[1], json.loads(sys.argv[2])), Path(sys.argv[3])) as search:
    for _ in evolve(search):
        pass
"""
SEEN = {
    "cpp": ("evokern.evaluation.judge", "evokern.evaluation.rigs.baseline", "cc1plus", "/runner-"),
    "triton": ("evokern.evaluation.judge", "evokern.untrusted.server"),
}
"""Words of the command lines that must have been looked at, or the test has shown nothing."""


class Watch:
    """Reads environment and command line of all that descends from `root`, from a thread, while its block runs."""

    def __init__(self, key: str, engine: Sequence[str], root: int) -> None:
        self._key, self._engine = key.encode(), "".join(f"{word}\0" for word in engine).encode()
        self._root = root
        self.command_lines: set[str] = set()
        self.caught: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(GLANCE_S):
            for process in _family(Path(f"/proc/{self._root}")):
                before, environment, after = (_read(process / name) for name in ("cmdline", "environ", "cmdline"))
                told = before.replace(b"\0", b" ").decode(errors="replace")
                self.command_lines.add(told)
                if self._key in before or (self._key in environment and self._engine not in (before, after)):
                    self.caught.add(told)


def _read(file: Path) -> bytes:
    """Empty when the process has ended, or hides from this user as the judge does: no kernel can read it either."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _family(process: Path) -> Iterator[Path]:
    """The process and all that descend from it; each thread lists its own children."""
    yield process
    try:
        threads = [*process.glob("task/*")]
    except OSError:  # it has ended
        return
    for thread in threads:
        for child in _read(thread / "children").split():
            yield from _family(Path(f"/proc/{int(child)}"))


def triton_kernel(messages: Sequence[dict[str, str]]) -> str:
    """The seed with another number of warps."""
    seed = load(TASK, {"backend": "triton"}).seeds[0].source
    warps = 2 ** (len(messages[-1]["content"]) % 2)
    return f"Name: warps\n\n```python\n{seed.replace('num_warps=4', f'num_warps={warps}')}```\n"


@pytest.mark.parametrize("backend", first(sorted(SEEN, reverse=True)))
def test_no_process_of_a_search_but_its_engine_holds_the_key(
    backend: str, model_server: Callable[..., ModelServer], tmp_path: Path
) -> None:
    key = f"sk-planted-{secrets.token_hex(16)}"
    answer = Synthetic().answer if backend == "cpp" else triton_kernel
    server = model_server(answer, key=key)
    overrides = {
        "backend": backend,
        "models": [server.entry(api_key_env="PLANTED_API_KEY")],
        "search.operators": ["mutate"],
        "search.generations": 1,
        "search.offspring": 2,
        "search.in_flight": 2,
        "evaluation.compile_cap_s": 0.1,
    }
    engine = [sys.executable, "-c", ENGINE, str(TASK), json.dumps(overrides), str(tmp_path / "a.db")]
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "XDG_CACHE_HOME") if name in os.environ}
    environment["PLANTED_API_KEY"] = key
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    running = subprocess.Popen(engine, env=environment, cwd=TASK.parents[1], text=True, **pipes)
    with running, Watch(key, engine, running.pid) as watch:
        words, _ = running.communicate()
    assert running.returncode == 0, words
    assert {request.authorization for request in server.requests} == {f"Bearer {key}"}
    with Archive(tmp_path / "a.db") as archive:
        assert any(one.evaluations and one.child.completions for one in archive.candidates())
    assert watch.caught <= {"uname -p "}
    for name in SEEN[backend]:
        assert any(name in told for told in watch.command_lines), name
    assert key not in words
    left = (file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert not any(key.encode() in content for content in left)
