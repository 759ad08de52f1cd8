"""A template around prompts: its text, and the columns that it names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jinja2 import TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from r1lab.errors import ConfigError, Finding
from r1lab.wording import nearest, some

PROMPT = "prompt"  # in a template: the text of the column that holds the prompts
KEY = "task.template"


def read_wording(said: str, where: str = KEY, key: str = KEY) -> tuple[str, str]:
    """The text of a template, and where it stands.

    Args:
        said: the text itself, which has `{{` in it, or the path of a file.
        where: what said it.
        key: the config's key that holds it.

    Raises:
        ConfigError: there is no such file.
    """
    if "{{" in said or "{%" in said:
        return said, where
    file = Path(said).expanduser()
    if "\n" in said or not file.is_file():
        what = f"{key}={said[:80]!r} has no {{{{ COLUMN }}}} in it, and is no file"
        raise ConfigError([Finding(what, where, fix=f"a file, or text: '{key}=\"Solve this. {{{{ prompt }}}}\"'")])
    return file.read_text(encoding="utf-8"), str(file)


def names_of(text: str, where: str = KEY, key: str = KEY) -> set[str]:
    """The names that a template fills in.

    Raises:
        ConfigError: it is no Jinja.
    """
    try:
        return meta.find_undeclared_variables(ImmutableSandboxedEnvironment().parse(text))
    except TemplateSyntaxError as error:
        what = f"{key} cannot be read: {error.message}"
        raise ConfigError([Finding(what, f"{where}:{error.lineno}", fix="mend that line")]) from error


def check_names(text: str, where: str, columns: Iterable[str], key: str = KEY) -> None:
    """Refuse a template with a name that is no column.

    Raises:
        ConfigError: with the nearest column.
    """
    known = [*columns, PROMPT]
    findings = []
    for name in sorted(names_of(text, where, key) - set(known)):
        close = nearest(name, known)
        what = f"{key} names {{{{ {name} }}}}, which is no column"
        nearby = f"{{{{ {close} }}}}" if close else ""
        findings.append(Finding(what, where, nearby, f"one of: {some(known, like=name)}"))
    if findings:
        raise ConfigError(findings)
