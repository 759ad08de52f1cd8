"""The languages that programs may be written in: how each is compiled and run, and what it needs of the machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from r1lab.errors import ConfigError, Finding
from r1lab.sandbox.container import PATHS
from r1lab.wording import nearest, some


@dataclass(frozen=True)
class Language:
    """One language.

    Args:
        name: what the config and Piston call it.
        aliases: its other names, among them those of fenced code blocks.
        file: the name of the source file.
        run: the command; () runs the file in a fork of the box's Python.
        compile: the command that makes `made` from the file, () where nothing is compiled.
        made: the compiled program's file.
        needs: the command that must be on the machine.
        version: the argument that makes it tell its version.
        stack: whether its stack is bounded by the memory limit alone, as at contests.
        threads: that its runtime starts for itself, granted beyond a program's own processes.
    """

    name: str
    aliases: tuple[str, ...]
    file: str
    run: tuple[str, ...]
    compile: tuple[str, ...] = ()
    made: str = ""
    needs: str = ""
    version: str = "--version"
    stack: bool = False
    threads: int = 0


def _cpp(name: str, standard: str, *aliases: str) -> Language:
    command = ("g++", f"-std={standard}", "-O2", "-pipe", "-DONLINE_JUDGE", "-o", "program", "main.cpp", "-lm")
    return Language(name, aliases, "main.cpp", ("./program",), command, "program", "g++", stack=True)


LANGUAGES = (
    Language("python", ("python3", "py", "py3"), "main.py", ()),
    _cpp("c++", "gnu++17", "cpp", "cc", "cxx", "c++17", "cpp17", "g++"),
    _cpp("c++11", "gnu++11", "cpp11"),
    _cpp("c++14", "gnu++14", "cpp14"),
    _cpp("c++20", "gnu++20", "cpp20"),
    Language(
        "c",
        ("gcc",),
        "main.c",
        ("./program",),
        ("gcc", "-std=gnu17", "-O2", "-pipe", "-DONLINE_JUDGE", "-o", "program", "main.c", "-lm"),
        "program",
        "gcc",
        stack=True,
    ),
    Language(
        "javascript", ("js", "node", "node-js", "nodejs"), "main.js", ("node", "main.js"), needs="node", threads=16
    ),
    Language("bash", ("sh", "shell"), "main.sh", ("bash", "main.sh"), needs="bash"),
    Language(
        "java",
        (),
        "Main.java",
        (
            "java",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:MaxRAMPercentage=60",
            "-cp",
            "program.jar",
            "Main",
        ),
        ("sh", "-c", "mkdir out && javac -encoding UTF-8 -d out Main.java && jar cf program.jar -C out ."),
        "program.jar",
        "javac",
        threads=64,
    ),
    Language(
        "rust",
        ("rs",),
        "main.rs",
        ("./program",),
        ("rustc", "-O", "-o", "program", "main.rs"),
        "program",
        "rustc",
        stack=True,
    ),
    Language(
        "go",
        ("golang",),
        "main.go",
        ("./program",),
        ("go", "build", "-o", "program", "main.go"),
        "program",
        "go",
        "version",
    ),
    Language("ruby", ("rb",), "main.rb", ("ruby", "main.rb"), needs="ruby"),
    Language("perl", ("pl",), "main.pl", ("perl", "main.pl"), needs="perl"),
    Language("php", (), "main.php", ("php", "main.php"), needs="php"),
    Language("lua", (), "main.lua", ("lua", "main.lua"), needs="lua", version="-v"),
    Language("r", ("rscript",), "main.R", ("Rscript", "--vanilla", "main.R"), needs="Rscript"),
    Language(
        "haskell", ("hs",), "main.hs", ("./program",), ("ghc", "-O", "-o", "program", "main.hs"), "program", "ghc"
    ),
)
BY_NAME = {name: language for language in LANGUAGES for name in (language.name, *language.aliases)}


def find(name: str) -> Language:
    """The language of that name or alias, if this machine can run it.

    Raises:
        ConfigError: it is not known, or its compiler or interpreter is missing.
    """
    language = BY_NAME.get(name.strip().lower())
    if language is None:
        close = nearest(name, list(BY_NAME))
        raise ConfigError(
            [Finding(f"no sandbox runs {name!r}", nearest=close, fix=some([item.name for item in LANGUAGES]))]
        )
    if not available(language):
        what = f"{language.name} programs need {language.needs}, which is not on this machine"
        fix = f"install it where all users find it ({PATHS}), or choose sandbox=piston"
        raise ConfigError([Finding(what, fix=fix)])
    return language


def available(language: Language) -> bool:
    """Whether this machine has what the language needs, where a box can see it."""
    return not language.needs or shutil.which(language.needs, path=PATHS) is not None


@cache
def version_of(language: Language) -> str:
    """The version that the language's program tells, as three numbers."""
    command: Sequence[str] = (language.needs or "python3", language.version)
    path = shutil.which(command[0], path=PATHS)
    if path is None:
        return "0.0.0"
    said = subprocess.run([path, *command[1:]], capture_output=True, text=True, timeout=20, check=False)
    found = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    parts = (found[0].split(".") if found else []) + ["0", "0", "0"]
    return ".".join(parts[:3])
