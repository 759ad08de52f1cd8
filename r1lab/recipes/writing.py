"""An experiment file: the account of a recipe's keys as comments, then the experiment in YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

import yaml

from r1lab.config.literal import literal
from r1lab.recipes.draft import Draft
from r1lab.recipes.reading import Loader
from r1lab.wording import display

GROUPS = ("task", "engine", "model", "adapter", "dataset", "reward", "sandbox", "accelerator", "hub", "tracker")  # so
ORDER = (
    "name",
    "seed",
    "accelerator",
    "model",
    "adapter",
    "dataset",
    "reward",
    "sandbox",
    "engine",
    "trainer",
    "hub",
    "tracker",
)
WIDTH = 118


class Dumper(yaml.SafeDumper):
    """YAML as OmegaConf reads it: text that it would take for a number is quoted, long text stands line by line."""

    def ignore_aliases(self, data: Any) -> bool:
        """Nothing is written by reference."""
        return True


class Inline(dict[str, Any]):
    """A mapping that is one value, on one line."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    value = literal(value)
    try:
        plain = yaml.load(value, Loader=Loader) == value
    except yaml.YAMLError:
        plain = False
    style = "|" if "\n" in value else None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _inline(dumper: yaml.SafeDumper, value: Inline) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=True)


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.SequenceNode:
    inline = not any(isinstance(item, dict) for item in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=inline)


Dumper.add_representer(str, _text)
Dumper.add_representer(Inline, _inline)
Dumper.add_representer(list, _list)


def experiment(draft: Draft, name: str) -> str:
    """The text of the experiment file `name`."""
    lines = [
        f"# python -m r1lab experiment={name}",
        f"# After {display(draft.recipe.path)}, a recipe of Open-R1's form.",
    ]
    unknown = {key: f"nobody knows it{f'; nearest: {close}' if close else ''}" for key, close in draft.unknown.items()}
    for label, account in (("Left out", draft.dropped), ("Unknown, and left out", unknown)):
        if account:
            lines += ["#", f"# {label}:"]
            for key, why in account.items():
                lines += wrap(f"{key}: {why}", WIDTH, initial_indent="#   ", subsequent_indent="#     ")
    lines.append("defaults:")
    for group in GROUPS:
        if group in draft.choices:
            said = draft.choices[group]
            lines.append(f"  - override /{group}: {said if isinstance(said, str) else '[' + ','.join(said) + ']'}")
    first = {key.rpartition(".")[0]: place for place, key in reversed(list(enumerate(draft.values)))}
    keys = sorted(draft.values, key=lambda key: (_rank(key.partition(".")[0]), first[key.rpartition(".")[0]]))
    lines += _block({key: draft.values[key] for key in keys}, draft.remarks)
    return "\n".join(lines) + "\n"


def _rank(root: str) -> int:
    return ORDER.index(root) if root in ORDER else len(ORDER)


def _block(values: Mapping[str, Any], remarks: Mapping[str, str]) -> list[str]:
    """Dotted keys as mappings inside one another, line by line, with the remarks behind their keys or above them."""
    tree: dict[str, Any] = {}
    for dotted, value in values.items():
        *above, last = dotted.split(".")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
        node[last] = Inline(value) if isinstance(value, dict) else value
    dumped = yaml.dump(tree, Dumper=Dumper, default_flow_style=False, width=10**6, allow_unicode=True, sort_keys=False)
    lines = dumped.split("\n")[:-1]
    for row, column, end, dotted in sorted(_places(yaml.compose(dumped, Loader=Loader)), reverse=True):
        if dotted in remarks and row == end:
            lines[row] += f"  # {remarks[dotted]}"
        elif dotted in remarks:
            lines.insert(row, f"{' ' * column}# {remarks[dotted]}")
    return lines


def _places(node: Any, above: str = "") -> Iterator[tuple[int, int, int, str]]:
    """(line, column, the last line of its value, dotted key) of every key of a mapping, those inside included."""
    for key, value in node.value:
        dotted = f"{above}.{key.value}".lstrip(".")
        yield key.start_mark.line, key.start_mark.column, value.end_mark.line, dotted
        if isinstance(value, yaml.MappingNode):
            yield from _places(value, dotted)


def put_in_place(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(file)
