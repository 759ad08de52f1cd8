"""The documentation's generated parts: every message has its entry, every group and option its place."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tests.command_line import CommandLine, r1lab

__all__ = ["r1lab"]
REPOSITORY = Path(__file__).parents[1]


def of_site(name: str) -> ModuleType:
    """A module of docs/site, which is no package."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", REPOSITORY / f"docs/site/{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


messages = of_site("messages")
reference = of_site("reference")

REFUSED = (
    ["task=grop"],
    ["trainer.lerning_rate=1e-4"],
    ["reward=[acuracy]"],
    ["trainer.num_generations=7"],
    ["trainer.learning_rate=high"],
    ["seed=1,2"],
    ["-m", "trainer.learning_rate=interval(1,2)"],
    ["dataset=local", "dataset.path=gone.csv"],
    ["model.path=gone"],
    ["task=eval", "task.k=[16]"],
    ["task=eval", "trainer.max_steps=3"],
    ["engine=server", "engine.urls=[]"],
    ["resume=gone"],
    ["global_batch_size=100"],
    ["cluster.partition=gpu"],
    ["reward.format.weight=much"],
    ["learning_rate=1"],
    ["trainer=grpo", "task=sft", "reward=["],
    ["tracker=[wandb]"],
    ["model=hub"],
)


@pytest.mark.whole
@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_a_refused_command_says_has_its_entry(words: list[str], r1lab: CommandLine) -> None:
    patterns = [item.pattern for item in messages.messages() if item.text.strip(" ….:")]
    for finding in r1lab.all(*words):
        what = re.sub(r"^run .*?: (?=\S)", "", finding["what"])
        assert any(pattern.fullmatch(what) for pattern in patterns), finding["what"]


def test_every_place_that_says_something_is_read() -> None:
    """Counted a second time, by the text alone."""
    read = {(item.module, item.line) for item in messages.messages()}
    source = REPOSITORY / "r1lab"
    said = set()
    for file in source.rglob("*.py"):
        module = ".".join(("r1lab", *file.relative_to(source).with_suffix("").parts))
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if re.search(r"(?<![\w.\"'])Finding\((?!\*\*)[^)]", line) and not line.lstrip().startswith(
                ("class", '"', "#")
            ):
                said.add((module, number))
    assert len(said) > 250
    assert said - read == set()


def test_a_message_is_read_whole_through_names_and_branches() -> None:
    tree = (
        "def f(a, b):\n"
        "    what, fix = f'{a} is odd', 'take 2'\n"
        "    if b:\n"
        "        what = 'b' + f' is {b}' if a else 'nothing'\n"
        "    return Finding(what, 'here', fix=fix, severity='warning')\n"
    )
    import ast

    (function,) = ast.parse(tree).body
    found = list(messages._of_function(function, "m"))
    assert {(item.text, item.fix, item.kind) for item in found} == {
        ("b is …", "take 2", "warning"),
        ("nothing", "take 2", "warning"),
    }


def test_every_option_has_its_place_in_the_reference() -> None:
    pages = reference.pages()
    for file in (REPOSITORY / "conf").rglob("*.yaml"):
        group, *rest = file.relative_to(REPOSITORY / "conf").with_suffix("").parts
        if rest:
            assert f"\n## {'/'.join(rest)} {{#" in pages[group], file
    for file in (REPOSITORY / "experiments").glob("*.yaml"):
        assert f"\n## {file.stem} {{#" in pages["experiment"]


def test_the_schema_s_own_words_stand_in_the_reference() -> None:
    page = reference.pages()["keys"]
    assert "| `retries` | `int` | `2` |" in page
    assert "what was interrupted goes on" in page
    rewards = reference.pages()["reward"]
    assert "max\\_value\\_correct" in rewards or "max_value_correct" in rewards
    assert yaml.safe_load(re.search(r"## cosine .*?```yaml\n(.*?)```", rewards, re.S)[1])["cosine"]["max_len"] == 1000


def test_every_relative_link_of_readme_and_docs_leads_to_a_file() -> None:
    """Strict as `make docs`, but without the site's tools."""
    for file in [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", file.read_text(encoding="utf-8")):
            if "://" not in target and not target.startswith("reference/"):
                assert (file.parent / target).exists(), f"{file.name}: {target}"


COMMAND = re.compile(r"^(?:python -m )?r1lab (.*?)(?:\s{2,}#.*|\s+# .*)?$", re.M)
NEEDS_MORE = ("<time>", "…", "my_", "org/name", "FOLDER", "NAME", "--help", "task=status", "task=doctor", "=RECIPE")


def commands() -> list[str]:
    """The commands of the README and the guides that need nothing that a reader has to make first."""
    texts = [
        REPOSITORY / "README.md",
        *(REPOSITORY / "docs" / f"{name}.md" for name in ("evaluation", "first-steps", "sweeps", "tasks")),
    ]
    found = [
        words
        for file in texts
        for block in re.findall(r"^```\n(.*?)^```", file.read_text(encoding="utf-8").replace("\\\n", " "), re.M | re.S)
        for words in COMMAND.findall(block)
    ]
    return [words for words in dict.fromkeys(found) if not any(part in words for part in NEEDS_MORE)]


@pytest.mark.whole
@pytest.mark.parametrize("words", commands())
def test_a_command_of_the_docs_can_be_planned(
    words: str, r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """But for what this machine lacks: a GPU of that kind, Slurm, and packages of the extras."""
    Path("problems.csv").write_text(
        "problem,question,result\n" + "".join(f"{n}+1?,{n}+1?,{n + 1}\n" for n in range(99))
    )
    text = r1lab(*shlex.split(words), "dry_run=true").err
    here = ("which is not installed", "GPU", "Slurm", "sbatch", "memory", "cuda", "not here", "cluster=", "fit")
    faults = [block for block in text.split("\n\n")[1:] if not any(word in block for word in here)]
    assert faults == []
