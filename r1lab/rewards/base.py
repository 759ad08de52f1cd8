"""What a reward is, and the wrapper that holds it to that.

A reward is a plain function `(completions, **columns) -> list[float | None | Failure]`. What each of its parameters is
follows from how it is declared: positional without a default, a column of the dataset that must be there; positional
with the default None, a column that is handed on where the dataset or the trainer has it (`prompts`, `completion_ids`
among them); after `*`, the reward's own parameter, bound by the config.

None means "not verifiable": the completion is skipped, not wrong. `Failure` means that the machinery failed, which is
not the completion's fault either: it is skipped, counted apart, and ends the run where it is more than an accident.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.errors import ConfigError, Finding, R1labError, RewardError
from r1lab.wording import nearest, plural, some

log = logging.getLogger("r1lab")
Score = float | None
MAX_FAILURES = 0.5
WRAPPERS = ("_target_", "weight", "max_failures")  # keys of a reward's config that are not the function's


@dataclass(frozen=True)
class Failure:
    """In the place of a score: infrastructure failed, so nothing is known of the completion.

    Attributes:
        reason: what failed, in a few words; equal causes are counted together.
    """

    reason: str


Mark = float | None | Failure


def text_of(completion: Any) -> str:
    """The text of a completion, given as text or as a conversation's last message."""
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"]
    return "" if content is None else str(content)


class Reward:
    """A reward function under its config's name, as TRL's trainers call it.

    Args:
        name: the key in `reward`; metrics carry it.
        function: the plain function, its own parameters bound.
        weight: its share in the total.
        max_failures: the share of a call's completions that may fail for reasons of infrastructure.
        target: the `_target_` it was built from.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Sequence[Mark]],
        weight: float = 1.0,
        max_failures: float = MAX_FAILURES,
        target: str = "",
    ):
        self.__name__ = name
        self.function = function
        self.weight = weight
        self.max_failures = max_failures
        self.target = target
        declared = inspect.signature(function).parameters.values()
        self.takes_all = any(item.kind is item.VAR_KEYWORD for item in declared)
        columns = [item for item in declared if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)]
        self.needs = [item.name for item in columns if item.default is item.empty and item.name != "completions"]
        self.takes = {*self.needs, *(item.name for item in columns if item.default is None)}
        self.own = {item.name for item in declared} - self.takes  # a column of that name is none of its business

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[Score]:
        """Score completions, and log the shares of those that were skipped and of those that failed.

        Args:
            completions: (B,) texts or conversations.
            columns: (B,) each, the dataset's columns; others that a trainer passes are handed on as they are.

        Raises:
            RewardError: what comes back is not a mark for each completion, or too much of the machinery failed.
        """
        marks = self.judge(completions, **columns)
        if log_metric := columns.get("log_metric"):
            count = max(1, len(marks))
            log_metric(f"skipped/{self.__name__}", sum(mark is None for mark in marks) / count)
            failed = sum(isinstance(mark, Failure) for mark in marks)
            log_metric(f"infrastructure_failures/{self.__name__}", failed / count)
        self.refuse_failures(marks)
        return scores_of(marks)

    def judge(self, completions: Sequence[Any], **columns: Any) -> list[Mark]:
        """The marks of completions: a finite number, None or a `Failure` for each.

        Raises:
            RewardError: a column is missing or of another length, the function raised, or broke its contract.
        """
        if isinstance(completions, str):
            raise RewardError(f"reward {self.__name__} takes a list of completions, not one text")
        given = {
            key: value
            for key, value in columns.items()
            if key in self.takes or (self.takes_all and key not in self.own)
        }
        for name in self.needs:
            if name not in given:
                what = f"reward {self.__name__} reads column {name!r}, which was not given"
                raise RewardError(f"{what}: pass {name}=[…], one value per completion")
        for name in self.takes & given.keys():
            value = given[name]
            if isinstance(value, list | tuple) and len(value) != len(completions):
                what = f"reward {self.__name__}: column {name!r} has {plural(len(value), 'value')}"
                raise RewardError(f"{what} for {plural(len(completions), 'completion')}")
        try:
            returned = self.function([text_of(item) for item in completions], **given)
        except R1labError:
            raise
        except Exception as error:
            log.exception("reward %s failed", self.__name__)
            raise RewardError(f"reward {self.__name__} failed: {type(error).__name__}: {error}") from error
        return self._checked(returned, len(completions))

    def _checked(self, returned: Any, count: int) -> list[Mark]:
        try:
            marks = [item if item is None or isinstance(item, Failure) else float(item) for item in returned]
        except (TypeError, ValueError) as error:
            raise RewardError(f"reward {self.__name__} returned no list of numbers: {error}") from error
        if len(marks) != count:
            raise RewardError(f"reward {self.__name__} returned {len(marks)} scores for {count} completions")
        for mark in marks:
            if isinstance(mark, float) and not math.isfinite(mark):
                raise RewardError(f"reward {self.__name__} returned {mark}; a score is finite, or None to skip")
        return marks

    def refuse_failures(self, marks: Sequence[Mark]) -> None:
        """Stop where more than `max_failures` of the marks are failures: nothing is to be learnt from them.

        Raises:
            RewardError: naming the share, the most common cause and what to do.
        """
        causes = Counter(mark.reason for mark in marks if isinstance(mark, Failure))
        share = causes.total() / max(1, len(marks))
        if share <= self.max_failures:
            return
        (cause, times), *_ = causes.most_common(1)
        raise RewardError(
            f"reward {self.__name__}: {share:.0%} of {plural(len(marks), 'completion')} could not be judged because "
            f"the machinery failed (at most {self.max_failures:.0%} may); the most common cause ({times}×): {cause}\n"
            f"    fix      mend the cause and go on with resume=FOLDER, or allow more: "
            f"reward.{self.__name__}.max_failures=SHARE"
        )


def scores_of(marks: Sequence[Mark]) -> list[Score]:
    """Marks as trainers take them: a failure is skipped."""
    return [None if isinstance(mark, Failure) else mark for mark in marks]


def build(name: str, cfg: DictConfig) -> Reward:
    """The reward that one entry of the config's `reward` describes.

    A `_target_` that is a class is made with the parameters and called like a function; if it has `state_dict` and
    `load_state_dict`, its state is part of every checkpoint.

    Raises:
        ConfigError: it has no such parameter, or needs one that is not given.
    """
    values = dict(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
    target = str(values.pop("_target_"))
    module, _, attribute = target.rpartition(".")
    weight = _number(name, "weight", values.pop("weight", 1.0), -math.inf, math.inf)
    max_failures = _number(name, "max_failures", values.pop("max_failures", MAX_FAILURES), 0.0, 1.0)
    found: Any = getattr(import_module(module), attribute)
    _check_parameters(name, target, found, {str(key): value for key, value in values.items()})
    function: Any = found(**values) if inspect.isclass(found) else partial(found, **values)
    return Reward(name, function, weight, max_failures, target)


def _number(name: str, key: str, value: Any, least: float, most: float) -> float:
    """A number of a reward's config, within its range.

    Raises:
        ConfigError: it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or not least <= number <= most:
        wanted = "a number" if least == -math.inf else f"a share from {least:g} to {most:g}"
        raise ConfigError([Finding(f"reward {name}: {key}={value!r} is not {wanted}", fix=f"{key}=1.0")])
    return number


def _check_parameters(name: str, target: str, found: Any, values: dict[str, Any]) -> None:
    declared = inspect.signature(found).parameters.values()
    settable = [item for item in declared if _is_setting(item, inspect.isclass(found))]
    known = [*(item.name for item in settable), *WRAPPERS[1:]]
    faults = []
    if not any(item.kind is item.VAR_KEYWORD for item in declared) or not inspect.isclass(found):
        for key in values:
            if key not in known:
                what = f"reward {name} has no parameter {key!r} ({target})"
                faults.append(Finding(what, nearest=nearest(key, known), fix=f"known here: {some(known)}"))
    for item in settable:
        if item.default is item.empty and values.get(item.name, "???") == "???":
            faults.append(Finding(f"reward {name} needs parameter {item.name!r}", fix=f"{item.name}=VALUE"))
    if faults:
        raise ConfigError(faults)


def _is_setting(item: inspect.Parameter, of_class: bool) -> bool:
    """Whether the config sets a parameter: those after `*`, every one of a class, positional ones with a value."""
    if item.kind in (item.VAR_KEYWORD, item.VAR_POSITIONAL):
        return False
    return of_class or item.kind is item.KEYWORD_ONLY or item.default not in (item.empty, None)


def build_all(cfg: DictConfig) -> list[Reward]:
    """Every reward of a run, in the config's order."""
    return [build(str(name), item) for name, item in (cfg.reward or {}).items()]
