"""lighteval's environment: where its Python is, what it holds, and what makes it; nothing of it is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LIGHTEVAL = "0.13.0"
ENVIRONMENT = ".venv-eval"
INSTALL = "make install-eval"
SOURCE = Path(__file__).parents[2]  # a checkout's folder; of an installed r1lab, the folder of all packages


def interpreter(python: str | None = None) -> Path | None:
    """The Python of lighteval's environment: the one that is named, else the first that is found; None for none.

    A link is not followed: an environment's Python is a link to the one that it was made with.
    """
    if python:
        given = Path(python).expanduser()
        given = given / "bin/python" if given.is_dir() else given
        return given.absolute() if given.is_file() else None
    places = [Path.cwd(), SOURCE]
    found = [place / ENVIRONMENT / "bin/python" for place in places]
    return next((path for path in found if path.is_file()), None)


def version_in(python: Path, package: str = "lighteval") -> str:
    """The version of a package in the environment of an interpreter, read off its metadata's name; "" for none."""
    folders = [*python.parents[1].glob("lib/python3*/site-packages"), python.parents[1] / "Lib/site-packages"]
    found = [path for folder in folders for path in folder.glob(f"{package}-*.dist-info")]
    return found[0].name.removeprefix(f"{package}-").removesuffix(".dist-info") if found else ""


def trouble(settings: Any) -> str:
    """What keeps lighteval from running as `evaluator` says; "" where nothing does."""
    asked = settings.get("python")
    python = interpreter(asked)
    if python is None:
        return f"evaluator.python={asked} is no interpreter" if asked else f"there is no {ENVIRONMENT}/bin/python"
    version = version_in(python)
    if not version:
        return f"{python} has no lighteval"
    return "" if version == LIGHTEVAL else f"{python} has lighteval {version}, and r1lab speaks to {LIGHTEVAL}"
