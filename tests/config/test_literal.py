"""Texts that hold `${`: what a file says is what the worker reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from r1lab.config.literal import literal
from tests.command_line import CommandLine
from tests.command_line import r1lab as r1lab
from tests.command_line import write as write

SHELL = "Say ${HOME}, and \\${x} too"


@given(st.text("a\\${}:. ", max_size=12))
@example("\\\\${a}\\${b}${c}")
@example("$${a}")
def test_a_literal_is_resolved_to_itself(text: str) -> None:
    value = {"a": [text, 3, None, {"b": text}], "c": text}
    assert OmegaConf.to_container(OmegaConf.create(literal(value)), resolve=True) == value
    assert OmegaConf.create(OmegaConf.to_yaml(OmegaConf.create(literal(value)))).c == text


def test_a_prompt_with_a_shell_variable_reaches_the_worker(
    r1lab: CommandLine, write: Callable[[str, str | bytes], Path]
) -> None:
    write("experiments/shell.yaml", "dataset:\n  system_prompt: 'Say \\${HOME}, and \\\\\\${x} too'\n")
    said = r1lab("experiment=shell", "outputs=out")
    assert said.code == 0, said.err
    ((folder, cfg),) = said.started.items()
    assert cfg.dataset.system_prompt == SHELL
    assert OmegaConf.load(folder / "run.yaml").dataset.system_prompt == SHELL


def test_an_interpolation_of_nothing_says_how_to_mean_it(
    r1lab: CommandLine, write: Callable[[str, str | bytes], Path]
) -> None:
    write("experiments/shell.yaml", "dataset:\n  system_prompt: 'Say ${HOME}'\n")
    finding = r1lab.one("experiment=shell")
    assert finding["what"].startswith("dataset.system_prompt cannot be resolved: Interpolation key 'HOME' not found")
    assert finding["fix"] == r"a text that holds ${ itself says \${"
