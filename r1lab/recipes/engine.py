"""How the completions of a GRPO recipe are made: TRL's fields for vLLM as the words of an engine."""

from __future__ import annotations

from urllib.parse import urlsplit

from r1lab.plan.vllm_fields import FIELDS
from r1lab.recipes.draft import Draft

LOCAL = ("0.0.0.0", "127.0.0.1", "localhost", "::1")
OF_SERVER = {"vllm_gpu_memory_utilization", "vllm_max_model_length", "vllm_max_model_len", "vllm_server_timeout"}
OF_COLOCATED = {*FIELDS} - {"vllm_server_timeout"}
ADDRESS = ("vllm_server_base_url", "vllm_server_host", "vllm_server_port")
WORDS = {**FIELDS, "vllm_max_model_len": FIELDS["vllm_max_model_length"]}  # the second was its name then


def serves(draft: Draft) -> bool:
    """Whether the run brings a server, on GPUs that do not train: TRL's way then, unless a recipe says colocate."""
    asked = draft.kind == "grpo" and draft.get("use_vllm") is True and _mode(draft) == "server"
    return asked and not address(draft)


def address(draft: Draft) -> str:
    """Where a recipe's server is, if that is another machine; one on the same node is the run's own."""
    base = draft.text("vllm_server_base_url")
    url = base or f"http://{draft.text('vllm_server_host', LOCAL[0])}:{draft.get('vllm_server_port', 8000)}"
    return "" if urlsplit(url).hostname in LOCAL else url


def engine(draft: Draft) -> None:
    """Choose the engine, with what a recipe says of it; the sampling in TRL's own process needs no word."""
    if draft.kind != "grpo":
        return
    if not draft.flag("use_vllm"):
        draft.drop("use_vllm is not true", *(key for key in draft.recipe.values if key.startswith("vllm_")))
        draft.drop("engine=transformers, which samples in the training process", "use_vllm")
        return
    draft.choose("engine", "vllm", "use_vllm")
    remark = "" if draft.says("vllm_mode") else "TRL's default then; now colocate"
    draft.put("engine.mode", _mode(draft), "vllm_mode", remark=remark)
    server, away = _mode(draft) == "server", address(draft)
    if server and away:
        draft.put("engine.urls", [away], *ADDRESS)
        draft.drop("the server at engine.urls has its own", *OF_SERVER - {"vllm_server_timeout"})
    elif server:
        draft.put("engine.gpus", 1, remark="of the node, which the run's own server has to itself")
        draft.drop("the run starts its server on the node", *ADDRESS)
    else:
        draft.drop("vLLM runs beside the trained model, without a server", *ADDRESS, "vllm_server_timeout")
    for key, word in WORDS.items():
        if key in draft.left and key in (OF_SERVER if server else OF_COLOCATED | OF_SERVER):
            draft.move(key, word)
    draft.drop("TRL takes it for vLLM beside the trained model alone", *OF_COLOCATED)


def _mode(draft: Draft) -> str:
    return draft.text("vllm_mode", "server")
