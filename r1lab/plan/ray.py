"""task=ray before anything starts: one server over the GPUs of a job's nodes, planned as any other server is."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from r1lab.config.packages import EXTRAS, installed
from r1lab.errors import Finding
from r1lab.plan.accelerators import severity_here
from r1lab.plan.engine import check_engine, engine_facts
from r1lab.plan.fields import Where
from r1lab.plan.model import check_model
from r1lab.slurm.script import gpus_of
from r1lab.wording import plural

SPLIT = ("tensor_parallel", "pipeline_parallel", "data_parallel")


def settle_ray(cfg: DictConfig) -> None:
    """Fill in what nothing says: tensor parallel within a node, pipeline parallel between nodes."""
    engine = cfg.engine
    if engine.name == "transformers":
        engine.name = "server"
    if all(engine[name] == 1 for name in SPLIT):
        engine.tensor_parallel, engine.pipeline_parallel = max(1, gpus_of(cfg)), max(1, cfg.accelerator.nodes)


def check_ray(cfg: DictConfig, where: Where) -> list[Finding]:
    """What speaks against Ray over the nodes of a job, and against the server on top of it."""
    engine, severity, findings = cfg.engine, severity_here(cfg), []
    if cfg.accelerator.nodes < 1:
        what = f"accelerator.nodes={cfg.accelerator.nodes} is out of range"
        return [Finding(what, where("accelerator.nodes"), "accelerator.nodes=1")]
    if cfg.cluster.kind != "slurm":
        what = "task=ray runs on the nodes of a Slurm job"
        findings.append(Finding(what, where("task"), "cluster=slurm", severity=severity))
    if not installed("ray"):
        what = "task=ray needs ray, which is not installed"
        findings.append(Finding(what, where("task"), fix=EXTRAS["ray"], severity=severity))
    if not cfg.task.serve:
        return findings
    if engine.name != "server" or engine.urls:
        what = "task=ray starts `vllm serve` over all of the job's nodes"
        return [*findings, Finding(what, where("engine"), "engine=server", "engine.urls=null, or task.serve=false")]
    if engine.nodes:
        what = f"engine.nodes={engine.nodes}: with task=ray the server spans every node of the job"
        findings.append(Finding(what, where("engine.nodes"), f"accelerator.nodes={engine.nodes} engine.nodes=0"))
    if not (cfg.model.path or cfg.model.repo):
        what = f"{cfg.model.name} is built on first use, and a server reads a model that is saved"
        findings.append(Finding(what, where("model"), fix="model.path= of a saved one, or a published model"))
    findings += check_model(cfg, where) + check_engine(cfg, where)
    if not any(finding.severity == "error" for finding in findings):
        findings += _check_split(cfg, where)
    return findings


def _check_split(cfg: DictConfig, where: Where) -> list[Finding]:
    """Whether the server uses the GPUs that the job asks for, and no others."""
    engine, each, count = cfg.engine, gpus_of(cfg), int(cfg.accelerator.nodes)
    if not each:
        what = "the job asks for no GPU, and `vllm serve` runs on GPUs"
        return [Finding(what, where("cluster.gpus"), "cluster.gpus=8", "or task.serve=false, for Ray alone")]
    tensor, pipeline, data = (int(engine[name]) for name in SPLIT)
    if tensor * pipeline * data == each * count:
        return []
    words = "tensor × pipeline × data parallel"
    what = f"the job has {plural(each * count, 'GPU')} and {words} = {tensor} × {pipeline} × {data} of them"
    close = f"engine.tensor_parallel={each} engine.pipeline_parallel={count} engine.data_parallel=1"
    return [Finding(what, where("engine.tensor_parallel"), close)]


def ray_facts(cfg: DictConfig) -> dict[str, dict[str, Any]]:
    """What a dry run prints: the model, what each node does, the server's command."""
    count, each = int(cfg.accelerator.nodes), plural(gpus_of(cfg), "GPU")
    others = f"; nodes 1–{count - 1}: its workers" if count > 2 else "; node 1: its worker" if count == 2 else ""
    serves = " and vllm serve over all nodes" if cfg.task.serve else ""
    facts: dict[str, dict[str, Any]] = {
        "run": {"task": cfg.task.name},
        "machine": {"roles": f"node 0: Ray's head{serves}{others}; {each} of each node"},
    }
    if not cfg.task.serve:
        return facts
    facts["run"] |= {"model": cfg.model.name, "weights from": cfg.model.path or cfg.model.repo}
    return facts | {"completions": engine_facts(cfg)}
