"""A recipe's rewards: names, weights and the parameters that Open-R1 keeps in one flat list."""

from __future__ import annotations

from r1lab.config.experiments import CONF
from r1lab.recipes.draft import Draft
from r1lab.wording import nearest, plural, some

DEFAULT = ("accuracy", "format", "tag_count")  # Open-R1's, where a recipe names none
PARAMETERS: dict[str, tuple[tuple[str, ...], str]] = {  # key → the rewards that have it, and its name there
    "cosine_min_value_wrong": (("cosine",), "min_value_wrong"),
    "cosine_max_value_wrong": (("cosine",), "max_value_wrong"),
    "cosine_min_value_correct": (("cosine",), "min_value_correct"),
    "cosine_max_value_correct": (("cosine",), "max_value_correct"),
    "cosine_max_len": (("cosine",), "max_len"),
    "repetition_n_grams": (("repetition_penalty",), "n_grams"),
    "repetition_max_penalty": (("repetition_penalty",), "max_penalty"),
    "max_completion_len": (("soft_overlong_punishment",), "max_completion_len"),
    "soft_punish_cache": (("soft_overlong_punishment",), "soft_punish_cache"),
    "code_language": (("code_format",), "language"),
    "code_eval_test_batch_size": (("ioi_code", "cf_code"), "test_batch_size"),
    "code_eval_scoring_mode": (("cf_code",), "scoring_mode"),
    "parallel_code_exec_per_proc": (("code", "binary_code"), "num_parallel"),
}
SANDBOXES = ("e2b", "local", "morph", "piston")
ROUTERS = {"e2b_router_url": "e2b", "morph_router_url": "morph"}
PROVIDERS = {"code_provider": ("code", "binary_code"), "ioi_provider": ("ioi_code",)}  # and whose programs they run
KEYS = ("reward_funcs", "reward_weights", *PROVIDERS, *ROUTERS, *PARAMETERS)


def rewards(draft: Draft) -> None:
    """The rewards of a GRPO recipe; of any other, none."""
    if draft.kind != "grpo":
        draft.choose("reward", [])
        draft.drop("supervised fine-tuning has no rewards", *KEYS)
        return
    names = draft.texts("reward_funcs", DEFAULT)
    known = sorted(file.stem for file in (CONF / "reward").glob("*.yaml"))
    for name in names:
        if name not in known:
            what, fix = f"there is no reward {name!r}", f"one of: {some(known, like=name)}"
            draft.refuse("reward_funcs", what, nearest(name, known), fix)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        draft.refuse(
            "reward_funcs", f"{twice[0]} stands twice in reward_funcs", fix="once, with the sum of the weights"
        )
    draft.choose("reward", names, "reward_funcs")
    _weights(draft, names)
    for key, (having, parameter) in PARAMETERS.items():
        chosen = [name for name in having if name in names]
        for name in chosen:
            draft.move(key, f"reward.{name}.{parameter}")
        draft.drop(f"no reward that is chosen has it ({' or '.join(having)})", key)
    _sandbox(draft, names)


def _weights(draft: Draft, names: list[str]) -> None:
    weights = draft.get("reward_weights")
    if weights is None:
        return
    numbers = isinstance(weights, list) and all(isinstance(item, int | float) for item in weights)
    if not numbers or len(weights) != len(names):
        what = f"reward_weights={weights!r} are not the weights of {plural(len(names), 'reward')}"
        draft.refuse("reward_weights", what, fix=f"one number each for {', '.join(names)}")
        return
    for name, weight in zip(names, weights, strict=True):
        draft.put(f"reward.{name}.weight", weight, "reward_weights")


def _sandbox(draft: Draft, names: list[str]) -> None:
    """Where programs run. Open-R1's own choices, E2B and Piston, need accounts or servers: they have to be said."""
    chosen = ""
    for key, having in PROVIDERS.items():
        said = draft.text(key)
        if not said:
            continue
        if not set(having) & set(names):
            draft.drop(f"no reward that is chosen has it ({' or '.join(having)})", key)
        elif said not in SANDBOXES:
            what = f"there is no sandbox {said!r}"
            draft.refuse(key, what, nearest(said, SANDBOXES), f"one of: {', '.join(SANDBOXES)}")
        elif chosen and said != chosen:
            draft.drop(f"one sandbox serves the whole run: {chosen}", key)
        else:
            chosen = said
            draft.choose("sandbox", said, key)
    for key, provider in ROUTERS.items():
        if chosen == provider:
            draft.move(key, "sandbox.router_url")
        draft.drop(f"programs do not run at {provider}", key)
