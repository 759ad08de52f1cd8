"""From rows to the conversations that a model completes: a template around a column, and a system prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from datasets import Dataset
from jinja2 import StrictUndefined, Template
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from r1lab.config.prompt_templates import PROMPT, check_names, read_wording
from r1lab.data.turns import with_system
from r1lab.engines.base import Conversation
from r1lab.errors import DataError


class Prompts(Sequence[Conversation]):
    """The conversations of rows, made when they are asked for, so that they take no memory.

    Args:
        rows: as `data.loading.load` returns them, with `prompt`.
        template: Jinja, or the path of a file with it; None leaves the prompts as they are.
        system: a system prompt, which takes the place of one that a row has; None leaves that.

    Raises:
        ConfigError: the template is none, or names what is no column.
        DataError: when a row is asked for that it cannot be filled in from.
    """

    def __init__(self, rows: Dataset, template: str | None = None, system: str | None = None):
        self.rows, self.system = rows, system
        self.template: Template | None = None
        if template:
            text, place = read_wording(template)
            check_names(text, place, rows.column_names)
            self.template = ENVIRONMENT.from_string(text)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Conversation: ...
    @overload
    def __getitem__(self, place: slice) -> list[Conversation]: ...
    def __getitem__(self, place: int | slice) -> Conversation | list[Conversation]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        row = self.rows[place]
        turns: Conversation = row["prompt"]
        if self.template is not None:
            turns = [*turns[:-1], {**turns[-1], "content": self._filled(row, turns[-1]["content"], place)}]
        return with_system(turns, self.system, replace=True)

    def _filled(self, row: Mapping[str, Any], asked: str, place: int) -> str:
        assert self.template is not None
        try:
            return self.template.render(**{**row, PROMPT: asked})
        except (TemplateError, ArithmeticError, LookupError, AttributeError, TypeError, ValueError) as error:
            raise DataError(f"row {place + 1}: task.template cannot be filled in: {error}") from error


def _shown(value: Any) -> Any:
    """What `{{ … }}` shows; a column that is null in a row would become the word None."""
    if value is None:
        raise ValueError("{{ … }} is null there; {{ COLUMN or '' }} leaves it out, {% if COLUMN %} asks for it")
    return value


ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False, finalize=_shown)
