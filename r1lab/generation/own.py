"""r1lab's own way to generate: the config's engine, every completion kept in the store as soon as it is there.

A generator of another kind is a function with the same signature, named by its option's `_target_`. It takes what is
missing from the store's keys, keeps there what it makes, and may use the same engine or only its address.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from r1lab.engines.base import Completion, Conversation, OnProgress, Sampling
from r1lab.engines.store import Store
from r1lab.engines.stored import Failures, fill, keys_of
from r1lab.generation.engines import ready

OnMade = Callable[[Completion], None]


@dataclass(frozen=True)
class Drawn:
    """What a generator leaves in the store.

    Attributes:
        keys: of each prompt's completions.
        failures: what could not be made, by key and index.
    """

    keys: list[str]
    failures: Failures


def generate(
    cfg: DictConfig,
    folder: Path,
    store: Store,
    prompts: Sequence[Conversation],
    sampling: Sampling,
    on_progress: OnProgress,
    on_made: OnMade,
) -> Drawn:
    """Make what is missing of `sampling.n` completions of each prompt.

    Args:
        cfg: the resolved config of the run.
        folder: the run's.
        store: where completions are kept.
        prompts: the conversations to complete.
        sampling: how.
        on_progress: told how many are done of how many.
        on_made: given each completion, or failure, that is made now.

    Raises:
        EngineError: the engine fails as a whole; what it made is kept.
        StorageError: the store cannot be written; likewise.
    """
    with ready(cfg, folder) as made:
        failures = fill(made.engine, store, prompts, sampling, made.identity, on_progress, on_made)
        return Drawn(keys_of(prompts, sampling, made.identity), failures)
