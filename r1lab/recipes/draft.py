"""An experiment in the making, with an account of what became of every key of its recipe."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from r1lab.errors import Finding
from r1lab.recipes.reading import Recipe


@dataclass
class Draft:
    """What has been said of an experiment so far.

    Attributes:
        recipe: where it comes from.
        kind: "grpo" or "sft".
        choices: group → the option it takes, or a list of them.
        values: dotted key → value, in the order said.
        remarks: dotted key → what its line in the file says besides.
        became: the recipe's key → what took its place.
        dropped: the recipe's key → why nothing did.
        unknown: keys that nobody knows → the known one that looks most like it, or "".
        findings: what keeps the recipe from becoming an experiment at all.
    """

    recipe: Recipe
    kind: str
    choices: dict[str, str | list[str]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    became: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        for key, value in self.recipe.values.items():
            if value is None:
                self.dropped[key] = "it is null: nothing is said"

    def says(self, key: str) -> bool:
        """Whether the recipe gives a key a value."""
        return self.recipe.values.get(key) is not None

    def get(self, key: str, default: Any = None) -> Any:
        """The recipe's value of a key; the default where it gives none."""
        value = self.recipe.values.get(key)
        return default if value is None else value

    def text(self, key: str, default: str = "") -> str:
        """The recipe's value of a key that takes text; anything else is a finding."""
        value = self.get(key, default)
        if not isinstance(value, str):
            self.refuse(key, f"{key} takes text, not {value!r}")
            return default
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """The recipe's value of a key that is true or false; anything else is a finding."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            self.refuse(key, f"{key} is true or false, not {value!r}")
            return default
        return value

    def texts(self, key: str, default: Iterable[str] = ()) -> list[str]:
        """The recipe's value of a key that takes a list of text, or one text; anything else is a finding."""
        value = self.get(key, list(default))
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(key, f"{key} takes a list of names, not {value!r}")
            return []
        return value

    def put(self, dotted: str, value: Any, *keys: str, remark: str = "") -> None:
        """Set a key of the experiment, which keys of the recipe have become."""
        self.values[dotted] = value
        if remark:
            self.remarks[dotted] = remark
        for key in keys:
            if self.says(key):
                self.became[key] = dotted

    def move(self, key: str, dotted: str, remark: str = "") -> None:
        """Set a key of the experiment to the value of a key of the recipe, where that has one."""
        if self.says(key):
            self.put(dotted, self.get(key), key, remark=remark)

    def choose(self, group: str, option: str | list[str], *keys: str) -> None:
        """Take an option of a group, which keys of the recipe have become."""
        self.choices[group] = option
        for key in keys:
            if self.says(key):
                said = option if isinstance(option, str) else f"[{','.join(option)}]"
                self.became[key] = f"{group}={said}"

    def drop(self, why: str, *keys: str) -> None:
        """Leave keys of the recipe out, where they are said and nothing has become of them."""
        for key in keys:
            if self.says(key) and key not in self.became:
                self.dropped.setdefault(key, why)

    def refuse(self, key: str, what: str, nearest: str = "", fix: str = "") -> None:
        """Note what keeps the recipe from becoming an experiment."""
        self.dropped.setdefault(key, "it is at fault")
        finding = Finding(what, self.recipe.where(key), nearest, fix)
        if finding not in self.findings:
            self.findings.append(finding)

    @property
    def left(self) -> list[str]:
        """Keys of the recipe of which nothing has become yet."""
        return [key for key in self.recipe.values if key not in self.became and key not in self.dropped]
