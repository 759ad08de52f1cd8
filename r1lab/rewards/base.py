"""What a reward is, and the wrapper that holds it to that.

A reward is a plain function `(completions, **columns) -> list[float | None]`. Its positional parameters without a
default are columns of the dataset; the rest are its own parameters, bound by the config. None means "not verifiable":
the completion is skipped, not wrong. The wrapper gives it plain texts, checks what comes back and counts the skips.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from omegaconf import DictConfig, OmegaConf

from r1lab.errors import R1labError, RewardError

log = logging.getLogger("r1lab")
Score = float | None


def text_of(completion: Any) -> str:
    """The text of a completion, given as text or as a conversation's last message."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"])


class Reward:
    """A reward function under its config's name, as TRL's trainers call it.

    Args:
        name: the key in `reward`; metrics carry it.
        function: the plain function, its own parameters bound.
        weight: its share in the total.
    """

    def __init__(self, name: str, function: Callable[..., Sequence[Score]], weight: float = 1.0):
        self.__name__ = name
        self.function = function
        self.weight = weight
        declared = inspect.signature(function).parameters.values()
        self.takes_all = any(item.kind is item.VAR_KEYWORD for item in declared)
        self.takes = {item.name for item in declared if item.default is item.empty}
        self.own = {item.name for item in declared} - self.takes  # a column of that name is none of its business

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[Score]:
        """Score completions.

        Args:
            completions: (B,) texts or conversations.
            columns: (B,) each, the dataset's columns; others that a trainer passes are handed on as they are.

        Raises:
            RewardError: what comes back is not a score for each completion, each finite or None.
        """
        given = {
            key: value
            for key, value in columns.items()
            if key in self.takes or (self.takes_all and key not in self.own)
        }
        try:
            returned = self.function([text_of(item) for item in completions], **given)
        except R1labError:
            raise
        except Exception as error:
            log.exception("reward %s failed", self.__name__)
            raise RewardError(f"reward {self.__name__} failed: {type(error).__name__}: {error}") from error
        try:
            scores = [None if score is None else float(score) for score in returned]
        except (TypeError, ValueError) as error:
            raise RewardError(f"reward {self.__name__} returned no list of numbers: {error}") from error
        if len(scores) != len(completions):
            raise RewardError(
                f"reward {self.__name__} returned {len(scores)} scores for {len(completions)} completions"
            )
        for score in scores:
            if score is not None and not math.isfinite(score):
                raise RewardError(f"reward {self.__name__} returned {score}; a score is finite, or None to skip")
        if log_metric := columns.get("log_metric"):
            skipped = sum(score is None for score in scores)
            log_metric(f"skipped/{self.__name__}", skipped / max(1, len(scores)))
        return scores


def build(name: str, cfg: DictConfig) -> Reward:
    """The reward that one entry of the config's `reward` describes.

    A `_target_` that is a class is made with the parameters and called like a function; if it has `state_dict` and
    `load_state_dict`, its state is part of every checkpoint.
    """
    values = dict(OmegaConf.to_container(cfg))  # type: ignore[arg-type]
    module, _, target = str(values.pop("_target_")).rpartition(".")
    weight = float(values.pop("weight", 1.0))
    found: Any = getattr(import_module(module), target)
    function: Any = found(**values) if inspect.isclass(found) else partial(found, **values)
    return Reward(name, function, weight)


def build_all(cfg: DictConfig) -> list[Reward]:
    """Every reward of a run, in the config's order."""
    return [build(str(name), item) for name, item in (cfg.reward or {}).items()]
