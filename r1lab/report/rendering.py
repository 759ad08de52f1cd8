"""From a template to a file: every value made safe on its way into the page, the page written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from r1lab.errors import ReportError
from r1lab.report import words

_LONGEST = 120_000  # no single value in a page is longer, whatever was logged


def render(template: str, *scripts: str, **values: Any) -> str:
    """Fill a template that lies beside this module.

    `scripts` name the files that the page may run, as one script. The page's content policy allows nothing from
    elsewhere and no other script, so that hostile text in a completion could not run even if it stood in the page
    unescaped.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_safe,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "percent": words.percent,
        "duration": words.duration,
        "cut": words.cut,
    }
    environment.globals |= {"value_of": words.value_of}
    code = "".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in scripts)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = f"'sha256-{digest}'" if code else "'none'"
    return environment.get_template(template).render(script=Markup(code), script_policy=Markup(policy), **values)


def _safe(value: object) -> object:
    if value is None or isinstance(value, Markup):
        return "" if value is None else value
    return words.clean(words.cut(str(value), _LONGEST))


def write(path: Path, text: str) -> Path:
    """Write a page so that a kill leaves the old one or the new one. Raises ReportError when the folder refuses."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ReportError(f"{path} could not be written: {error.strerror or error}") from error
    return path
