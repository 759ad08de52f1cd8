"""How completions are made, before anything starts: an engine's words, its addresses, its packages, heads and GPUs."""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

from omegaconf import DictConfig

from r1lab.config.environment import ENGINE_KEY
from r1lab.config.packages import installed
from r1lab.config.schema import Engine
from r1lab.config.serving import Nodes, executable, serve_command
from r1lab.errors import Finding
from r1lab.launch.roles import nodes, serves
from r1lab.plan.accelerators import severity_here
from r1lab.plan.fields import Where
from r1lab.plan.vllm_fields import MODES
from r1lab.wording import nearest, plural, some

NAMES = ("transformers", "vllm", "server")
SAMPLES = ("generate", "filter", "eval")  # tasks that ask an engine and train nothing
PARALLEL = ("tensor_parallel", "data_parallel", "pipeline_parallel")
OF_VLLM = (
    *PARALLEL,
    "gpu_memory_utilization",
    "max_model_len",
    "arguments",
    "gpus",
    "nodes",
    "mode",
    "sleep",
)
OF_CLIENT = ("urls", "in_flight", "tries", "timeout", "patience", "model")
OF_GRPO = ("mode", "gpus", "sleep")
OF_STARTED = ("start_timeout", "command")  # of a server that the run starts
COUNTS = (*PARALLEL, "in_flight", "tries")
INSTALL = "pip install 'vllm==0.31.0' in this environment, or engine.command=PATH of another one's vllm"


def check_engine(cfg: DictConfig, where: Where) -> list[Finding]:
    """Findings about the `engine` node of a resolved run."""
    engine = cfg.engine
    if engine.name not in NAMES:
        close = nearest(str(engine.name), NAMES)
        nearby = f"engine={close}" if close else ""
        return [Finding(f"engine.name={engine.name} is not known", where("engine.name"), nearby, some(NAMES))]
    findings = _check_task(cfg, where) + _check_numbers(cfg, where) + _check_urls(cfg, where)
    findings += _check_meaning(cfg, where)
    if engine.name != "transformers" and not findings:
        findings += _check_model(cfg, where) + _check_parallel(cfg, where)
        findings += _check_package(cfg, where)
    return findings


def uses_vllm_here(cfg: DictConfig) -> bool:
    """Whether the run's own process imports vLLM."""
    engine = cfg.engine
    return bool(engine.name == "vllm" and not (cfg.task.name == "grpo" and engine.mode == "server"))


def starts_server(cfg: DictConfig) -> bool:
    """Whether a server is started for the run."""
    engine = cfg.engine
    of_grpo = engine.name == "vllm" and cfg.task.name == "grpo" and engine.mode == "server"
    return bool((engine.name == "server" or of_grpo) and not engine.urls)


def _check_task(cfg: DictConfig, where: Where) -> list[Finding]:
    name, task = cfg.engine.name, cfg.task.name
    if name == "server" and task == "grpo":
        what = "engine=server: GRPO's completions come from a server whose weights are renewed, which is vLLM's"
        close = "engine=vllm engine.mode=server" + (
            f" engine.urls=[{','.join(cfg.engine.urls)}]" if cfg.engine.urls else ""
        )
        return [Finding(what, where("engine"), close)]
    if name != "transformers" and task in ("sft", "rft"):
        what = f"task={task} samples with the model that it trains, not with engine={name}"
        return [Finding(what, where("engine"), "engine=transformers")]
    return []


def _check_numbers(cfg: DictConfig, where: Where) -> list[Finding]:
    engine, findings = cfg.engine, []
    for name in COUNTS:
        if engine[name] < 1:
            findings.append(
                Finding(f"engine.{name}={engine[name]} is out of range", where(f"engine.{name}"), fix="1 or more")
            )
    for name in ("nodes", "gpus"):
        if engine[name] is not None and engine[name] < 0:
            what = f"engine.{name}={engine[name]} is out of range"
            findings.append(Finding(what, where(f"engine.{name}"), fix="0 or more"))
    for name in ("timeout", "start_timeout"):
        if not engine[name] > 0:
            findings.append(
                Finding(f"engine.{name}={engine[name]} is out of range", where(f"engine.{name}"), fix="above 0")
            )
    if not engine.patience >= 0:
        findings.append(
            Finding(f"engine.patience={engine.patience} is out of range", where("engine.patience"), fix="0 or more")
        )
    share = engine.gpu_memory_utilization
    if share is not None and not 0 < share <= 1:
        what = f"engine.gpu_memory_utilization={share} is no share of a GPU"
        findings.append(Finding(what, where("engine.gpu_memory_utilization"), fix="above 0, at most 1"))
    if engine.mode not in MODES:
        close = nearest(str(engine.mode), MODES)
        what = f"engine.mode={engine.mode} is not known"
        findings.append(
            Finding(what, where("engine.mode"), f"engine.mode={close}" if close else "", "colocate or server")
        )
    longest = _longest(cfg)
    if engine.max_model_len is not None and longest and engine.max_model_len <= longest[1]:
        what = (
            f"engine.max_model_len={engine.max_model_len} leaves no room for a prompt beside {longest[0]}={longest[1]}"
        )
        findings.append(Finding(what, where("engine.max_model_len"), fix=f"more than {longest[1]}"))
    return findings


def _longest(cfg: DictConfig) -> tuple[str, int] | None:
    """The key of the longest completion that the engine makes, and its tokens."""
    if cfg.task.name == "grpo" and cfg.get("trainer"):
        found = cfg.trainer.get("max_completion_length")
        return ("trainer.max_completion_length", int(found)) if found else None
    found = cfg.task.get("max_tokens")
    return ("task.max_tokens", int(found)) if isinstance(found, int) else None


def _check_urls(cfg: DictConfig, where: Where) -> list[Finding]:
    """Whether addresses can be ones, end as the API's do, and hold no secret."""
    findings, key = [], "engine.urls"
    for url in cfg.engine.urls or []:
        parts = urlsplit(str(url))
        if parts.username or parts.password or parts.query:
            what = f"the address of {parts.hostname} holds a secret, which would be written into run.yaml"
            findings.append(Finding(what, key, fix=f"a key belongs into {ENGINE_KEY}, in the environment or .env"))
            continue
        try:
            fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:  # of `port`
            fine = False
        root = f"{url}".rstrip("/")
        grpo = cfg.task.name == "grpo"
        if not fine:
            bare = urlsplit(f"http://{url}")
            close = f"http://{bare.netloc}{bare.path.rstrip('/') or '/v1'}" if bare.hostname else ""
            findings.append(
                Finding(f"{str(url)!r} is no address of a server", where(key), close, "http://HOST:PORT/v1")
            )
        elif not grpo and root.endswith("/chat/completions"):
            findings.append(
                Finding(f"{url} ends beyond the API's root", where(key), root.removesuffix("/chat/completions"))
            )
        elif not grpo and not parts.path.strip("/"):
            findings.append(
                Finding(f"{url} has no path; the API of OpenAI's servers is under /v1", where(key), f"{root}/v1")
            )
    if cfg.engine.urls is not None and not len(cfg.engine.urls):
        findings.append(
            Finding("engine.urls is empty", where(key), "engine.urls=null starts a server", "[http://HOST:PORT/v1]")
        )
    if cfg.task.name == "grpo" and len(cfg.engine.urls or []) > 1:
        what = f"GRPO renews the weights of one server, and engine.urls has {len(cfg.engine.urls)}"
        findings.append(Finding(what, where(key), fix="engine.data_parallel=NUMBER makes one server of several copies"))
    return findings


def _check_meaning(cfg: DictConfig, where: Where) -> list[Finding]:
    """Keys that were set and that nothing reads."""
    engine, plain = cfg.engine, Engine()
    given = [str(name) for name in engine if engine[name] != getattr(plain, str(name), engine[name])]
    grpo = cfg.task.name == "grpo"
    idle: list[tuple[str, str]] = []
    if engine.name == "transformers":
        idle = [(name, "engine=vllm or engine=server") for name in (*OF_VLLM, *OF_CLIENT, *OF_STARTED) if name in given]
    elif engine.name == "server" and engine.urls:
        ours = (*PARALLEL, "gpu_memory_utilization", "nodes", "arguments", *OF_STARTED)
        idle = [(name, "engine.urls=null, for a server that is started") for name in ours if name in given]
    elif engine.name == "vllm" and not grpo:
        idle = [(name, "engine=server") for name in (*OF_CLIENT, *OF_STARTED, "nodes") if name in given]
    elif engine.name == "vllm" and engine.mode == "server" and engine.urls:
        ours = (*PARALLEL, "gpu_memory_utilization", "gpus", "nodes", "arguments", "command")
        idle = [(name, "engine.urls=null, for a server that is started") for name in ours if name in given]
    if engine.name != "transformers" and not grpo:
        idle += [(name, "task=grpo") for name in OF_GRPO if name in given]
    if engine.name != "transformers" and "shortcuts" in given:
        idle.append(("shortcuts", "engine=transformers"))
    if grpo and engine.name == "vllm" and engine.mode == "colocate":
        taken = ("urls", "gpus", "nodes", *OF_STARTED)
        idle += [(name, "engine.mode=server") for name in taken if name in given]
        for name in ("data_parallel", "pipeline_parallel"):
            if name in given:
                idle.append((name, "engine.mode=server; colocated, each training process has a copy or a part of one"))
    return [
        Finding(
            f"engine.{name} has no meaning for task={cfg.task.name} engine={engine.name}",
            where(f"engine.{name}"),
            fix=fix,
        )
        for name, fix in dict(idle).items()
    ]


def _check_model(cfg: DictConfig, where: Where) -> list[Finding]:
    """What vLLM cannot do with a model as a run describes it."""
    findings = []
    if cfg.task.name == "grpo" and starts_server(cfg) and not (cfg.model.path or cfg.model.repo):
        what = f"engine.mode=server: {cfg.model.name} is built on first use, and a server reads a model that is saved"
        fix = "model.path= of a saved one, such as outputs/RUN/model; or engine.mode=colocate"
        findings.append(Finding(what, where("engine.mode"), fix=fix))
    if any(value is not None for value in cfg.model.rope.values()) and not cfg.engine.urls:
        what = "model.rope is written into the model that is loaded here; vLLM reads the one that is saved"
        fix = "engine=transformers, or model.path= of a run that saved it"
        findings.append(Finding(what, where("model.rope"), fix=fix))
    if cfg.task.name == "grpo" and cfg.adapter.quantisation and cfg.engine.mode == "server":
        what = "adapter.quantisation: a server is given whole weights, not quantised ones"
        findings.append(Finding(what, where("adapter"), "adapter=lora"))
    return findings


def _check_parallel(cfg: DictConfig, where: Where) -> list[Finding]:
    """Whether the parallel sizes divide the model's heads and layers, and the GPUs are there."""
    engine, model, findings = cfg.engine, cfg.model, []
    if engine.urls:
        return []
    tensor, pipeline = engine.tensor_parallel, engine.pipeline_parallel
    if model.heads and model.heads % tensor:
        fits = [size for size in range(1, model.heads + 1) if model.heads % size == 0]
        close = min(fits, key=lambda size: (abs(size - tensor), size))
        what = f"engine.tensor_parallel={tensor} does not divide the {model.heads} attention heads of {model.name}"
        findings.append(Finding(what, where("engine.tensor_parallel"), f"engine.tensor_parallel={close}"))
    if model.layers and pipeline > model.layers:
        what = f"engine.pipeline_parallel={pipeline}: {model.name} has {plural(model.layers, 'layer')}"
        findings.append(Finding(what, where("engine.pipeline_parallel"), f"engine.pipeline_parallel={model.layers}"))
    needed = tensor * pipeline * engine.data_parallel
    there = (cfg.accelerator.gpus or 0) * nodes(cfg)
    if not serves(cfg) and cfg.task.name != "grpo" and cfg.accelerator.device == "cuda" and there and needed > there:
        what = f"tensor × pipeline × data parallel = {needed} GPUs, and there are {there}"
        severity = severity_here(cfg)
        findings.append(
            Finding(what, where("engine.tensor_parallel"), fix="accelerator.gpus=NUMBER", severity=severity)
        )
    return findings


def engine_facts(cfg: DictConfig) -> dict[str, str]:
    """What makes the completions of a run that trains nothing: the addresses, or the command of each node's server."""
    engine = cfg.engine
    facts = {"engine": str(engine.name)}
    if engine.urls:
        return facts | {"asked at": ", ".join(map(str, engine.urls))}
    if starts_server(cfg):
        count, where = max(1, int(engine.nodes or 1)), str(cfg.model.path or cfg.model.repo or "MODEL")
        for rank in range(count):
            span = Nodes(count, rank, "HEAD" if count > 1 else "127.0.0.1")
            host = "0.0.0.0" if count > 1 else "127.0.0.1"
            command = serve_command(engine, cfg.model, where, host=host, nodes=span, device=cfg.accelerator.device)
            facts[f"server, node {rank}" if count > 1 else "server"] = shlex.join(["vllm", *command[1:]])
    return facts


def _check_package(cfg: DictConfig, where: Where) -> list[Finding]:
    """vLLM where the run imports it or starts its program; what only this machine lacks is a warning in a dry run."""
    severity = severity_here(cfg)
    if uses_vllm_here(cfg) and not installed("vllm"):
        what = "engine=vllm needs vllm, which is not installed"
        fix = "pip install 'r1lab[vllm]' (docs/generation.md says how on a CPU); or engine=server"
        return [Finding(what, where("engine"), fix=fix, severity=severity)]
    if starts_server(cfg) and not executable(cfg.engine):
        said = (
            f"engine.command={cfg.engine.command} is no program" if cfg.engine.command else "there is no program vllm"
        )
        what = f"engine={cfg.engine.name} starts `vllm serve`, and {said}"
        key = "engine.command" if cfg.engine.command else "engine"
        return [Finding(what, where(key), fix=f"{INSTALL}; or engine.urls=[http://HOST:PORT/v1]", severity=severity)]
    return []
