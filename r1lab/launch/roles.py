"""Who trains and who serves: what every GPU of every node does, worked out from a config alone.

Completions of GRPO come from the training processes themselves, or from one vLLM server: on `engine.gpus` GPUs of the
node that trains (its last ones), on `engine.nodes` whole nodes behind those that train, or at an address where one is
running already. A task that trains nothing has one process, which needs no GPU: a server over `engine.nodes` nodes
takes all of their GPUs, and that process stands on the first of them. Everything here is a pure function of the config.
"""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import DictConfig

from r1lab.errors import Finding
from r1lab.wording import plural


@dataclass(frozen=True)
class Train:
    """The training processes of one node.

    Attributes:
        place: of this node among those that train.
        nodes: how many train.
        processes: on this node, one to a device.
        devices: GPUs by their number on this node, the first process's first; empty on a CPU, and for a task that
            trains nothing, whose engine may use all of them.
    """

    place: int
    nodes: int
    processes: int
    devices: tuple[int, ...] = ()

    @property
    def world(self) -> int:
        """Training processes over all nodes."""
        return self.nodes * self.processes

    @property
    def ranks(self) -> range:
        """The global ranks of this node's processes."""
        return range(self.place * self.processes, (self.place + 1) * self.processes)


@dataclass(frozen=True)
class Serve:
    """One node's part of the server.

    Attributes:
        place: of this node among those that serve; the first one answers requests.
        nodes: how many serve.
        devices: GPUs by their number on this node.
        tensor, pipeline: GPUs that one copy of the model is split over, within layers and between them.
        data: copies of the model over all nodes.
        local: copies on this node; 0 where one copy spans several nodes.
    """

    place: int
    nodes: int
    devices: tuple[int, ...]
    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    local: int = 1


@dataclass(frozen=True)
class Roles:
    """What one node does."""

    node: int
    train: Train | None = None
    serve: Serve | None = None


def serves(cfg: DictConfig) -> bool:
    """Whether a run brings a server of its own that its supervisors start.

    A server on one node for a task that trains nothing is started by that task's process.
    """
    engine = cfg.engine
    if engine.get("urls"):
        return False
    if not cfg.get("trainer"):
        return bool(engine.name == "server" and int(engine.get("nodes") or 0) > 1)
    return bool(engine.name == "vllm" and engine.get("mode") == "server")


def server_gpus(cfg: DictConfig) -> int:
    """GPUs of each training node that the server takes."""
    return int(cfg.engine.get("gpus") or 0) if serves(cfg) and not server_nodes(cfg) else 0


def server_nodes(cfg: DictConfig) -> int:
    """Whole nodes that serve."""
    return int(cfg.engine.get("nodes") or 0) if serves(cfg) else 0


def nodes(cfg: DictConfig) -> int:
    """Nodes that a run takes: those that train, then those that serve; those that serve, where nothing is trained."""
    training, serving = int(cfg.accelerator.get("nodes") or 1), server_nodes(cfg)
    return training + serving if cfg.get("trainer") else serving or training


def together(cfg: DictConfig) -> bool:
    """Whether training processes meet: there are several, or one that is wrapped as several would be."""
    accelerator = cfg.accelerator
    several = (accelerator.processes or 1) * (accelerator.get("nodes") or 1) > 1
    return bool(several or (cfg.get("trainer") and accelerator.kind in ("zero", "fsdp")))


def roles(cfg: DictConfig) -> tuple[Roles, ...]:
    """What each node of a run does, in the nodes' order.

    Args:
        cfg: the resolved config; on GPUs, `accelerator.gpus` says how many a node has.
    """
    accelerator = cfg.accelerator
    training, serving = int(accelerator.get("nodes") or 1), server_nodes(cfg)
    processes = int(accelerator.processes or 1)
    on_gpus = accelerator.device == "cuda" and cfg.get("trainer")
    devices = tuple(range(processes)) if on_gpus else ()
    split = {name: int(cfg.engine.get(f"{name}_parallel") or 1) for name in ("tensor", "pipeline", "data")}
    found = [Roles(node, Train(node, training, processes, devices)) for node in range(training)]
    if own := server_gpus(cfg):
        part = Serve(0, 1, tuple(range(processes, processes + own)), **split, local=split["data"])
        found[0] = Roles(0, found[0].train, part)
    count = int(accelerator.gpus or 1)
    devices = tuple(range(count)) if accelerator.device == "cuda" else ()
    local = min(count // (split["tensor"] * split["pipeline"]), split["data"])
    parts = [Serve(place, serving, devices, **split, local=local) for place in range(serving)]
    if parts and not cfg.get("trainer"):
        return tuple(Roles(place, found[0].train if place == 0 else None, part) for place, part in enumerate(parts))
    return (*found, *(Roles(training + part.place, None, part) for part in parts))


def check_roles(cfg: DictConfig) -> list[tuple[str, Finding]]:
    """What does not fit between a server, the training processes and the nodes' GPUs: (key, finding without place)."""
    engine, accelerator = cfg.engine, cfg.accelerator
    if not serves(cfg):
        return []
    own, whole = int(engine.get("gpus") or 0), int(engine.get("nodes") or 0)
    if own and whole:
        what = f"engine.gpus={own} and engine.nodes={whole} both give GPUs to the server"
        return [("engine.gpus", Finding(what, fix="set one of them"))]
    if not own and not whole:
        what = "engine.mode=server: nothing says where the server is"
        fix = "engine.gpus=1 of the node that trains, engine.nodes=1 for a node of its own, or engine.urls=[ADDRESS]"
        return [("engine.mode", Finding(what, fix=fix))]
    training, count = int(accelerator.get("nodes") or 1), int(accelerator.gpus or 1)
    if own and training > 1:
        what = f"engine.gpus={own}: a server beside {training} training nodes needs a node of its own"
        return [("engine.gpus", Finding(what, nearest="engine.nodes=1 engine.gpus=null"))]
    if own and accelerator.processes + own > count:
        what = f"engine.gpus={own} and accelerator.processes={accelerator.processes}: a node has {plural(count, 'GPU')}"
        left = count - own
        close = f"accelerator.processes={left}" if left > 0 else f"engine.gpus={max(1, count - 1)}"
        return [("engine.gpus", Finding(what, nearest=close))]
    split = [int(engine.get(f"{name}_parallel") or 1) for name in ("tensor", "pipeline", "data")]
    used, there = split[0] * split[1] * split[2], own or whole * count
    if used == there:
        return []
    copies, rest = divmod(there, split[0] * split[1])
    words = "tensor × pipeline × data parallel"
    what = f"the server has {plural(there, 'GPU')} and {words} = {' × '.join(map(str, split))} of them"
    close = f"engine.data_parallel={copies}" if copies and not rest else f"engine.tensor_parallel={there}"
    return [("engine.data_parallel", Finding(what, nearest=close))]
