"""The runs of a sweep: the product of all values given, or `hydra/sweeper=random`'s draws from ranges and lists.

Both are known before the first run starts, so that every run is planned before it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import DictConfig

from r1lab.errors import ConfigError, Finding
from r1lab.plan.places import where
from r1lab.plan.words import parse, value_of

TRIALS, SEED = 20, 0
PATIENCE = 100  # draws for each run before there are no more different ones
DIGITS = 6  # of a number that was drawn


def jobs_of(words: Sequence[str]) -> list[list[str]]:
    """The words of each run of a sweep, in the order they run; one for a plain command."""
    if value_of(words, "hydra/sweeper") != "random":
        return product(words)
    return draws(words, whole(words, "hydra.sweeper.trials", TRIALS, 1), whole(words, "hydra.sweeper.seed", SEED, 0))


def sweeps_of(words: Sequence[str]) -> list[Override]:
    """The overrides that give several values."""
    return [override for override in parse(words)[0] if override.is_sweep_override()]


def swept(job: Sequence[str], words: Sequence[str]) -> list[str]:
    """The words of one run that another run of the sweep does not share."""
    keys = {override.key_or_group for override in sweeps_of(words)}
    return [word for word in job if word.lstrip("+~").partition("=")[0] in keys]


def one_job_each(cfg: DictConfig, words: Sequence[str]) -> list[str]:
    """The words of an evaluation that goes into a queue, with a job for each of its benchmarks; empty for others."""
    names = list(map(str, cfg.get("benchmark") or {}))
    said = {override.key_or_group for override in parse(words)[0]} & {"task.only"}
    swept_over = {override.key_or_group for override in sweeps_of(words)} & {"benchmark", "task"}
    if cfg.task.name != "eval" or cfg.cluster.kind != "slurm" or len(names) < 2 or said or swept_over:
        return []
    return [*words, f"task.only={','.join(names)}"]


def whole(words: Sequence[str], key: str, default: int, least: int) -> int:
    """The whole number that a command line gives to a key of Hydra's.

    Raises:
        ConfigError: it gives something else.
    """
    said = value_of(words, key)
    if said is None:
        return default
    if not said.isdecimal() or int(said) < least:
        what = f"{key} takes a whole number, {least} or more, not {said!r}"
        raise ConfigError([Finding(what, where(key, words), fix=f"{key}={default or least}")])
    return int(said)


def product(words: Sequence[str]) -> list[list[str]]:
    """The words of each run of a grid, in the order they run.

    Raises:
        ConfigError: a range without steps, which has no product.
    """
    overrides = OverridesParser.create().parse_overrides(list(words))
    if ranges := [item for item in overrides if isinstance(item.value(), IntervalSweep)]:
        fix = "hydra/sweeper=random hydra.sweeper.trials=20 draws from it; or list the values"
        lines = [str(item.input_line) for item in ranges]
        raise ConfigError([Finding(f"{line} is a range, not values", f"override {line}", fix=fix) for line in lines])
    batches = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return [list(job) for batch in batches for job in batch]


def draws(words: Sequence[str], trials: int = TRIALS, seed: int = SEED) -> list[list[str]]:
    """The words of each run of a random search (Bergstra and Bengio 2012, https://jmlr.org/papers/v13/bergstra12a.html).

    The draws depend on the seed alone: more trials begin with those of fewer. No run is drawn twice; where there are
    not as many different ones as asked for, there are fewer.

    Args:
        words: those of the command. `key=interval(a,b)` is uniform, `key=tag(log,interval(a,b))` log-uniform,
            `key=int(interval(a,b))` a whole number, both ends included; `key=x,y` and `key=range(a,b)` one of a list.
        trials: runs to draw.
        seed: of the draws.

    Raises:
        ConfigError: nothing to draw, or a range that holds no number.
    """
    overrides = OverridesParser.create().parse_overrides(list(words))
    swept = [item for item in overrides if item.is_sweep_override()]
    if not swept:
        what, fix = "hydra/sweeper=random has nothing to draw", "trainer.learning_rate=tag(log,interval(1e-6,1e-4))"
        raise ConfigError([Finding(what, "override hydra/sweeper=random", fix=fix)])
    if odd := [fault for item in swept if (fault := _fault(item))]:
        raise ConfigError(odd)
    chance = random.Random(seed)
    found: dict[tuple[str, ...], None] = {}
    for _ in range(trials * PATIENCE):
        found.setdefault(tuple(f"{item.get_key_element()}={_draw(item, chance)}" for item in swept))
        if len(found) == trials:
            break
    said = [f"{item.get_key_element()}={item.get_value_element_as_str()}" for item in overrides if item not in swept]
    return [[*said, *job] for job in found]


def _fault(item: Override) -> Finding | None:
    sweep = item.value()
    if not isinstance(sweep, IntervalSweep):
        return None
    low, high = sweep.start, sweep.end
    line = str(item.input_line)
    place = f"override {line}"
    if low is None or high is None or not low < high:
        return Finding(f"{line} holds no number", place, fix=f"{item.key_or_group}=interval(LOW,HIGH)")
    if "log" in sweep.tags and low <= 0:
        fix = "start above 0, or leave tag(log,…) out"
        return Finding(f"{line}: a logarithm needs a range above 0", place, fix=fix)
    return None


def _draw(item: Override, chance: random.Random) -> str:
    sweep = item.value()
    if not isinstance(sweep, IntervalSweep):
        return chance.choice(list(map(str, item.sweep_string_iterator())))
    low, high = sweep.start, sweep.end
    assert low is not None and high is not None
    whole = isinstance(low, int) and isinstance(high, int)
    if "log" in sweep.tags:
        top = high + 1 if whole else high
        value = math.exp(chance.uniform(math.log(low), math.log(top)))
        return str(min(int(value), int(high))) if whole else f"{value:.{DIGITS}g}"
    return str(chance.randint(int(low), int(high))) if whole else f"{chance.uniform(low, high):.{DIGITS}g}"
