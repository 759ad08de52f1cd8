"""Chat templates as the config names them: one of r1lab's own, a .jinja file, or Jinja text."""

from __future__ import annotations

from pathlib import Path
from traceback import walk_tb

from jinja2 import TemplateSyntaxError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from r1lab.errors import ConfigError, Finding
from r1lab.wording import nearest

FOLDER = Path(__file__).parent.parent / "models"


class Generation(Extension):
    """transformers' block around what the assistant says, which this reader takes for its content."""

    tags = {"generation"}  # noqa: RUF012 - as Extension declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The block's content."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def own() -> list[str]:
    """The names of r1lab's templates."""
    return sorted(file.stem for file in FOLDER.glob("*.jinja"))


def read_template(said: str, where: str = "model.chat_template") -> tuple[str, str]:
    """The text of a chat template, and where that text stands, to which a line's number may be added.

    Args:
        said: the value of `model.chat_template`.
        where: what said it.

    Raises:
        ConfigError: it is neither a name, a file nor Jinja; or the Jinja cannot be read.
    """
    fix = "model.chat_template=FILE.jinja, Jinja text, or null for the model's own"
    if said in own():
        return (FOLDER / f"{said}.jinja").read_text(encoding="utf-8"), said
    text, place = said, where
    if "{" not in said and "\n" not in said:
        close = nearest(said, own())
        file = Path(said).expanduser()
        if not file.is_file():
            kind = "there is no file" if file.suffix else f"neither a file nor one of {', '.join(own())}:"
            nearby = f"model.chat_template={close}" if close else ""
            raise ConfigError([Finding(f"the chat template is not there: {kind} {said}", where, nearby, fix)])
        text, place = file.read_text(encoding="utf-8"), str(file)
    try:
        environment().compile(text)  # an unknown filter shows when code is made of it
    except TemplateSyntaxError as error:
        raise ConfigError([_broken(error.message or "", place, error.lineno)]) from error
    return text, place


def environment() -> ImmutableSandboxedEnvironment:
    """Jinja as transformers sets it up for chat templates."""
    return ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )


def unrenderable(error: Exception, place: str) -> ConfigError:
    """What to say of a template that cannot be rendered, with the line of it that failed."""
    line = getattr(error, "lineno", None)
    frames = [frame for frame, _ in walk_tb(error.__traceback__) if frame.f_code.co_filename == "<template>"]
    if line is None and frames:
        line = next(number for frame, number in walk_tb(error.__traceback__) if frame is frames[-1])
    return ConfigError([_broken(str(error), place, line or 0)])


def _broken(message: str, place: str, line: int) -> Finding:
    what = f"the chat template cannot be rendered: {message}"
    fix = "mend that line, or model.chat_template=null for the model's own"
    return Finding(what, f"{place}:{line}" if line else place, fix=fix)
