"""The config groups, their options and the files of a composition, as Hydra's loader finds them inside a session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from textwrap import fill

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException
from hydra.types import RunMode
from yaml import YAMLError

from r1lab.wording import plural

FILES = ("file", "experiments")  # schemes of what is read from files


def loader() -> ConfigLoaderImpl:
    """The loader of the Hydra that is initialised."""
    found = GlobalHydra.instance().config_loader()
    assert isinstance(found, ConfigLoaderImpl)
    return found


@lru_cache(maxsize=256)
def _listed(found: ConfigLoaderImpl, group: str, kind: ObjectType) -> tuple[str, ...]:
    """What a group holds, asked once of each loader: Hydra reads its search path anew for every question."""
    return tuple(found.get_group_options(group, kind))


def groups() -> list[str]:
    """The config groups at the top level."""
    return sorted({*_listed(loader(), "", ObjectType.GROUP)} - {"hydra"})


def as_text() -> str:
    """The groups and their options, for `--help`."""
    lines = (
        f"  {name:<12} {', '.join(options_of(name))}" for name in groups() if name != "trainer"
    )  # it follows the task
    return "\n".join(fill(line, 118, subsequent_indent=" " * 15, break_on_hyphens=False) for line in lines)


def options_of(group: str) -> list[str]:
    """The options of a group."""
    return list(_listed(loader(), group, ObjectType.CONFIG))


def is_group(key: str) -> bool:
    """Whether a key names a config group (`model`, `hydra/launcher`)."""
    name = key.split("@")[0]
    return "." not in name and (name in groups() or bool(options_of(name)))


def composed_files(words: Sequence[str]) -> list[tuple[str, Path]]:
    """(package, file) of every YAML file that words compose, the one that has the last word first."""
    choices = [word for word in words if is_group(word.lstrip("+~").partition("=")[0])]  # values compose no files
    return list(_files(loader(), tuple(choices)))


class NotText(HydraException):
    """A config file that is not UTF-8.

    Attributes:
        file: the file.
        line: the 1-based line of the first byte that is not.
    """

    def __init__(self, file: Path, line: int, what: str):
        self.file, self.line = file, line
        super().__init__(what)


@contextmanager
def named_file() -> Iterator[None]:
    """Say of a file that is no text which one it is, and of broken YAML that Hydra could not compose.

    Raises:
        NotText: naming the file and the place of the byte.
        HydraException: caused by what YAML says.
    """
    try:
        yield
    except YAMLError as error:
        raise HydraException(str(error)) from error
    except UnicodeDecodeError as error:
        folders = [Path(source.path) for source in loader().get_sources() if source.scheme() in FILES]
        for file in (file for folder in folders for file in sorted(folder.rglob("*.yaml"))):
            if (fault := not_text(file)) and error.object in file.read_bytes():
                raise fault from error
        raise


def not_text(file: Path) -> NotText | None:
    """What to say of a file that is not UTF-8; None of one that is."""
    content = file.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        place = f"byte {error.start + 1:,}, on line {line} after {plural(column - 1, 'byte')}"
        return NotText(file, line, f"{file.name} is not UTF-8: 0x{content[error.start]:02x} is {place}")
    return None


@lru_cache(maxsize=64)
def _files(found_by: ConfigLoaderImpl, words: tuple[str, ...]) -> tuple[tuple[str, Path], ...]:
    try:
        composed = found_by.compute_defaults_list("config", list(words), RunMode.RUN).defaults
    except HydraException:
        return ()
    sources = [source for source in found_by.get_sources() if source.scheme() in FILES]
    found: list[tuple[str, Path]] = []
    for item in reversed(composed):
        name = str(item.config_path)
        source = next((source for source in sources if source.is_config(name)), None)
        if source is not None and not name.startswith("hydra/"):
            inner = name.partition("/")[2] if source.scheme() == "experiments" else name
            found.append(((item.package or "").replace("_global_", ""), Path(source.path) / f"{inner}.yaml"))
    return tuple(found)
