"""Sampling through a store: what is there is not made again, and what is made is kept at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from r1lab.engines.base import Completion, Conversation, Engine, OnProgress, Sampling
from r1lab.engines.store import Lookup, Store, key_of

Failures = dict[tuple[str, int], Completion]  # by key and index
COUNTED = ("temperature", "top_p", "top_k", "min_p", "max_tokens", "seed")  # of the sampling; how many does not matter
KEPT = ("reasoning", "prompt_tokens")  # of a completion, where it has them
IDS = "ids"  # its tokens: kept where somebody reads them, since they are as long again as the text


def keys_of(prompts: Sequence[Conversation], sampling: Sampling, identity: Mapping[str, Any]) -> list[str]:
    """The keys of prompts' completions.

    Args:
        identity: what else bears on them: the model, its revision, its template.
    """
    how = {name: value for name, value in asdict(sampling).items() if name in COUNTED}
    return [key_of(prompt=list(prompt), sampling=how, identity=dict(identity)) for prompt in prompts]


def complete(
    engine: Engine,
    store: Store,
    prompts: Sequence[Conversation],
    sampling: Sampling,
    identity: Mapping[str, Any],
    on_progress: OnProgress | None = None,
    with_ids: bool = False,
) -> list[list[Completion]]:
    """`sampling.n` completions of each prompt, as `Engine.generate`, of which only the missing ones are made.

    `with_ids` keeps each one's tokens as well; completions that were kept without them are others then.

    What could not be made is an entry with its `error`, and is asked for again the next time.

    Raises:
        StorageError: the store cannot be written.
        EngineError: the engine fails as a whole; what it made is kept.
    """
    identity = {**identity, IDS: True} if with_ids else identity
    failures = fill(engine, store, prompts, sampling, identity, on_progress, with_ids=with_ids)
    with store.lookup() as lookup:
        keys = keys_of(prompts, sampling, identity)
        return [completions_of(lookup, key, sampling.n, failures) for key in keys]


def fill(
    engine: Engine,
    store: Store,
    prompts: Sequence[Conversation],
    sampling: Sampling,
    identity: Mapping[str, Any],
    on_progress: OnProgress | None = None,
    on_made: Callable[[Completion], None] | None = None,
    with_ids: bool = False,
) -> Failures:
    """Make what is missing for `complete`; completions go to the store alone, so that memory does not grow.

    Args:
        on_made: given each completion that is made now, or its failure, once it is kept.

    Returns:
        What could not be made.
    """
    keys = keys_of(prompts, sampling, identity)
    failures: Failures = {}
    total = len(prompts) * sampling.n
    times = Counter(keys)
    done = total - sum(len(store.missing(key, sampling.n)) * many for key, many in times.items())
    if on_progress:
        on_progress(done, total)
    for places, first, count in gaps(store, keys, sampling.n):

        def keep(place: int, index: int, completion: Completion, places: list[int] = places) -> None:
            nonlocal done
            key = keys[places[place]]
            if completion.error:
                failures[key, index] = completion
                store.add_failure(key, index, f"{completion.finish}: {completion.error}")
            else:
                store.add(key, index, record_of(completion, with_ids))
            done += times[key]
            if on_made:
                on_made(completion)
            if on_progress:
                on_progress(done, total)

        engine.generate([prompts[i] for i in places], replace(sampling, n=count, first=first), None, keep)
    return failures


def completions_of(lookup: Lookup, key: str, n: int, failures: Failures) -> list[Completion]:
    """The n completions of a key, read from the store; failures stand in the place of what is not there."""
    return [failures.get((key, index)) or completion_of(lookup(key, index)) for index in range(n)]


def gaps(store: Store, keys: Sequence[str], n: int) -> Iterator[tuple[list[int], int, int]]:
    """Runs of missing indices that several prompts share: (places of the prompts, first index, how many)."""
    shared: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    asked: set[str] = set()
    for place, key in enumerate(keys):
        if key in asked:  # the same prompt twice has the same completions
            continue
        asked.add(key)
        for first, count in runs(store.missing(key, n)):
            shared[first, count].append(place)
    for (first, count), places in sorted(shared.items()):
        yield places, first, count


def runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending indices as runs: (first, how many)."""
    found: list[tuple[int, int]] = []
    for index in indices:
        if found and sum(found[-1]) == index:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((index, 1))
    return found


def record_of(completion: Completion, with_ids: bool = False) -> dict[str, Any]:
    """A completion as the store keeps it."""
    record: dict[str, Any] = {
        "completion": completion.text,
        "finish": completion.finish,
        "tokens": completion.tokens,
    }
    if with_ids and completion.ids is not None:
        record[IDS] = list(completion.ids)
    return record | {name: value for name in KEPT if (value := getattr(completion, name))}


def completion_of(record: Mapping[str, Any] | None) -> Completion:
    """A completion from what the store kept."""
    if record is None:
        return Completion("", 0, "error", error="never made: the engine gave fewer completions than it was asked for")
    more = {name: record[name] for name in KEPT if name in record}
    more |= {IDS: tuple(record[IDS])} if IDS in record else {}
    return Completion(record["completion"], record["tokens"], record["finish"], **more)
