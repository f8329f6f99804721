"""What this machine says that it can take away, and that a compiler can do its work with what is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evokern.backends.cpp import FLAGS, PRELUDE
from evokern.records.outcome import Evidence
from evokern.toolchain import compiler, confinement
from evokern.toolchain.confinement import Confinement, Level


def test_this_machine_confines_kernels():
    reached = confinement.examine(compiler.launcher())
    assert reached.level is not Level.NONE, str(reached)
    assert str(reached).startswith(f"{reached.level}: system-call filter")


def test_a_level_is_no_better_than_its_weakest_layer():
    full = Confinement(own_user=False, powerless=True, landlock=1, filtered=True)
    assert full.level is Level.FULL
    assert Confinement(own_user=True, powerless=True, landlock=0, filtered=True).level is Level.PARTIAL
    assert Confinement(own_user=True, powerless=True, landlock=7, filtered=False).level is Level.NONE
    assert str(Confinement(False, False, 0, False)) == "none: limits only"


def test_a_compiler_reads_its_own_places_and_no_home():
    places = [Path(place) for place in confinement.toolchain(compiler.find())]
    assert Path("/") not in places
    assert any(Path("/usr/include/stdio.h").is_relative_to(place) for place in places)
    assert not any(Path("/etc/passwd").is_relative_to(place) for place in places)


@pytest.mark.parametrize(
    "line",
    [
        '#include "/etc/passwd"',
        '#include "/proc/self/environ"',
        '#include "/dev/zero"',
        'asm(".incbin \\"/etc/passwd\\"");',
    ],
)
def test_a_source_cannot_take_files_of_the_machine_in(line: str):
    made = compiler.shared_library(f"{line}\nint answer() {{ return 1; }}\n", FLAGS, PRELUDE)
    assert isinstance(made, Evidence)
    assert "ermission denied" in made.reason or "file not found" in made.reason


READS_ITS_PLACE = """
import ctypes, os, sys
from evokern.toolchain import compiler, forkserver
library = ctypes.CDLL(str(compiler.compile_native(forkserver.SHIM, "-O1", shared=True)))
library.evokern_confine_kernel((ctypes.c_char_p * 1)(sys.argv[1].encode()), 1)
print(os.listdir(sys.argv[1]))
"""


def test_a_worker_reads_its_place_although_the_folder_above_is_private(tmp_path: Path):
    """Root's worker becomes a user that nobody is, but not where that user would no longer reach the place."""
    place = tmp_path / "private" / "packages"
    place.mkdir(parents=True)
    (place / "module.py").touch()
    place.parent.chmod(0o700)
    done = subprocess.run([sys.executable, "-c", READS_ITS_PLACE, place], capture_output=True, text=True)
    assert done.stdout == "['module.py']\n", done.stderr


DEMAND = "from evokern.toolchain import compiler, confinement; confinement.demand(compiler.launcher(), trusted={})"


@pytest.mark.parametrize("trusted", [False, True])
def test_without_seccomp_kernels_run_only_when_the_user_vouches_for_them(trusted: bool):
    elsewhere = compiler.compile_native(Path(__file__).with_name("without_seccomp.cpp"), shared=False)
    command = [elsewhere, sys.executable, "-c", DEMAND.format(trusted)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode == 0) == trusted, done.stderr
    assert trusted or "--trust-kernels" in done.stderr
    confinement.demand(compiler.launcher(), trusted)


def test_a_kernel_binds_its_own_threads_and_nobody_who_was_there_before():
    """As an ordinary user: the judge's number may be the higher one, once numbers have started again."""
    program = compiler.compile_native(Path(__file__).with_name("numbers_again.cpp"), "-pthread", shared=False)
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.stdout == "1 0 1\n", done
