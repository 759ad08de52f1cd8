"""The key that a word means which stands where it is not known: misspelt, in the wrong group, or by another's name.

The nearest spelling alone is a bad guide: `task.max_tokens` looks like `task.n`, and what is meant stands in another
group, or is called otherwise there. Looked for, in this order: a slip of the pen in the same group; the same thing by
another name there; the same thing in another group, those first in which the task keeps it; whatever looks alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from omegaconf import DictConfig, OmegaConf

from r1lab.wording import nearest

SLIP = 0.8  # likeness from which on a word is another one, misspelt
SAME: tuple[tuple[str, ...], ...] = (  # names for one thing, in r1lab, TRL, vLLM, lighteval and elsewhere
    (
        "max_tokens",
        "max_new_tokens",
        "max_completion_length",
        "max_completion_tokens",
        "max_output_tokens",
        "max_gen_toks",
        "completion_length",
    ),
    ("max_length", "max_seq_length", "max_seq_len"),
    ("max_model_len", "max_model_length", "context_length", "context"),
    ("max_prompt_tokens", "max_prompt_length", "prompt_length"),
    ("n", "samples", "num_generations", "num_samples", "n_samples", "num_return_sequences", "num_completions"),
    ("problems", "num_problems", "max_problems", "limit", "max_samples", "num_examples", "max_examples"),
    ("learning_rate", "lr"),
    ("per_device_train_batch_size", "batch_size", "batch", "train_batch_size", "micro_batch_size"),
    ("max_steps", "steps", "num_steps", "train_steps", "num_train_steps", "total_steps"),
    ("num_train_epochs", "epochs", "num_epochs"),
    ("beta", "kl_coef", "kl_beta"),
    ("tensor_parallel", "tensor_parallel_size", "tp"),
    ("data_parallel", "data_parallel_size", "dp"),
    ("pipeline_parallel", "pipeline_parallel_size", "pp"),
    ("processes", "num_processes", "nproc_per_node"),
    ("nodes", "num_nodes", "num_machines", "nnodes"),
    ("gpus", "num_gpus", "gpus_per_node"),
    ("dtype", "torch_dtype"),
    ("attention", "attn_implementation"),
    ("urls", "url", "base_url"),
    ("in_flight", "concurrency", "max_concurrency", "num_concurrent"),
    ("time", "time_limit", "timeout_min"),
    ("k", "ks", "pass_k"),
)
ALSO = {  # where there is none of the first, the second does it
    SAME[0]: SAME[1],
    SAME[1]: SAME[0],
}
ORDER = (
    "task",
    "benchmark",
    "trainer",
    "eval",
    "engine",
    "dataset",
    "model",
    "accelerator",
    "cluster",
    "hub",
    "adapter",
)
OF_MODEL = ("rft",)  # tasks that sample as the model's file says


def meant(container: str, name: str, schema: Mapping[str, Iterable[str]], cfg: DictConfig) -> str:
    """The dotted key that `container.name` means; "" where nothing is like it.

    Args:
        container: where the word stands; "" at the top, or a group that nobody knows.
        name: the last part of it, which `container` does not know.
        schema: the known keys of every container, as `plan.fields.schema_of` gives them.
        cfg: the composed config.
    """
    own = list(map(str, schema.get(container, ())))
    here = f"{container}." if container else ""
    if close := slip(name, own) or same(name, own) or other(name, own):
        return f"{here}{close}"
    elsewhere = _elsewhere(container, name, schema, cfg) if "." not in container and not name.startswith("_") else {}
    for pick in (same, None, other, slip):
        if pick is None and (close := nearest(name, own)):
            return f"{here}{close}"
        for place, known in elsewhere.items():
            if pick is not None and (close := pick(name, known)):
                return f"{place}.{close}".lstrip(".")
    return ""


def slip(name: str, known: Iterable[str]) -> str:
    """The word that is `name` but for a slip of the pen."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=SLIP)), "")


def same(name: str, known: Iterable[str]) -> str:
    """The same word, or another name for the same thing."""
    words = set(known)
    names = next((names for names in SAME if name in names), ())
    return next((word for word in (name, *names) if word in words), "")


def other(name: str, known: Iterable[str]) -> str:
    """What does it as well."""
    words = set(known)
    names = next((ALSO.get(names, ()) for names in SAME if name in names), ())
    return next((word for word in names if word in words), "")


def _elsewhere(container: str, name: str, schema: Mapping[str, Iterable[str]], cfg: DictConfig) -> dict[str, list[str]]:
    """The known keys of the other containers that the task may keep the word in, those first that it asks first."""
    order = list(ORDER)
    if cfg.task.name in OF_MODEL:
        order.remove("model")
        order.insert(1, "model")
    listed = [place for root in order for place in schema if place.partition(".")[0] == root]
    places = [place for place in listed if place != container and OmegaConf.select(cfg, place) is not None]
    unlike = {"name", "_target_"}
    found = {"": [str(key) for key in schema.get("", ()) if key == name]} if container else {}
    return found | {place: [str(key) for key in schema[place] if key not in unlike] for place in places}
