"""Who does what on which GPU of which node, as tables."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf

from r1lab.launch.roles import Roles, Serve, Train, check_roles, nodes, roles


def config(accelerator: dict[str, Any], engine: dict[str, Any], trainer: bool = True) -> Any:
    defaults = {"device": "cuda", "nodes": 1, "processes": 8, "gpus": 8}
    return OmegaConf.create(
        {
            "accelerator": defaults | accelerator,
            "engine": {"name": "transformers"} | engine,
            "trainer": {"max_steps": 1} if trainer else None,
        }
    )


SERVER = {"name": "vllm", "mode": "server"}
ALL = tuple(range(8))
TASK = Roles(0, Train(0, 1, 1, ()))  # the one process of a task that trains nothing

TABLE = [
    ("a laptop", {"device": "cpu", "processes": 1, "gpus": None}, {}, [Roles(0, Train(0, 1, 1))]),
    ("a CPU shared by two", {"device": "cpu", "processes": 2, "gpus": None}, {}, [Roles(0, Train(0, 1, 2))]),
    ("one GPU", {"processes": 1, "gpus": 1}, {}, [Roles(0, Train(0, 1, 1, (0,)))]),
    ("all of a node", {}, {}, [Roles(0, Train(0, 1, 8, ALL))]),
    ("vLLM beside the model", {}, {"name": "vllm", "mode": "colocate"}, [Roles(0, Train(0, 1, 8, ALL))]),
    (
        "one of eight GPUs serves",
        {"processes": 7},
        SERVER | {"gpus": 1},
        [Roles(0, Train(0, 1, 7, ALL[:7]), Serve(0, 1, (7,), 1, 1, 1, 1))],
    ),
    (
        "two of eight serve two copies",
        {"processes": 6},
        SERVER | {"gpus": 2, "data_parallel": 2},
        [Roles(0, Train(0, 1, 6, ALL[:6]), Serve(0, 1, (6, 7), 1, 1, 2, 2))],
    ),
    (
        "four of eight serve one",
        {"processes": 4},
        SERVER | {"gpus": 4, "tensor_parallel": 2, "pipeline_parallel": 2},
        [Roles(0, Train(0, 1, 4, ALL[:4]), Serve(0, 1, (4, 5, 6, 7), 2, 2, 1, 1))],
    ),
    ("three nodes train", {"nodes": 3}, {}, [Roles(n, Train(n, 3, 8, ALL)) for n in range(3)]),
    (
        "two train and one serves",
        {"nodes": 2},
        SERVER | {"nodes": 1, "tensor_parallel": 8},
        [
            Roles(0, Train(0, 2, 8, ALL)),
            Roles(1, Train(1, 2, 8, ALL)),
            Roles(2, None, Serve(0, 1, ALL, 8, 1, 1, 1)),
        ],
    ),
    (
        "one trains and two serve eight copies",
        {},
        SERVER | {"nodes": 2, "tensor_parallel": 2, "data_parallel": 8},
        [
            Roles(0, Train(0, 1, 8, ALL)),
            Roles(1, None, Serve(0, 2, ALL, 2, 1, 8, 4)),
            Roles(2, None, Serve(1, 2, ALL, 2, 1, 8, 4)),
        ],
    ),
    (
        "one trains and two serve one copy over both",
        {},
        SERVER | {"nodes": 2, "tensor_parallel": 8, "pipeline_parallel": 2},
        [
            Roles(0, Train(0, 1, 8, ALL)),
            Roles(1, None, Serve(0, 2, ALL, 8, 2, 1, 0)),
            Roles(2, None, Serve(1, 2, ALL, 8, 2, 1, 0)),
        ],
    ),
    (
        "nothing trains, and a server spans two nodes",
        {"processes": 1},
        {"name": "server", "nodes": 2, "tensor_parallel": 8, "pipeline_parallel": 2},
        [Roles(0, Train(0, 1, 1, ()), Serve(0, 2, ALL, 8, 2, 1, 0)), Roles(1, None, Serve(1, 2, ALL, 8, 2, 1, 0))],
    ),
    (
        "nothing trains, and two nodes of CPUs serve a copy each",
        {"processes": 1, "device": "cpu", "gpus": None},
        {"name": "server", "nodes": 2, "data_parallel": 2},
        [Roles(0, Train(0, 1, 1, ()), Serve(0, 2, (), 1, 1, 2, 1)), Roles(1, None, Serve(1, 2, (), 1, 1, 2, 1))],
    ),
    ("nothing trains, and its own process starts the server", {"processes": 1}, {"name": "server", "nodes": 1}, [TASK]),
    ("nothing trains, and the server is there", {"processes": 1}, {"name": "server", "urls": ["http://a/v1"]}, [TASK]),
    ("an address", {}, SERVER | {"urls": ["http://a:8000/v1"], "gpus": None}, [Roles(0, Train(0, 1, 8, ALL))]),
]


@pytest.mark.parametrize(("accelerator", "engine", "wanted"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_roles(accelerator: dict[str, Any], engine: dict[str, Any], wanted: list[Roles]) -> None:
    trains = engine.get("name") != "server"
    cfg = config(accelerator, engine, trains)
    assert roles(cfg) == tuple(wanted)
    assert nodes(cfg) == len(wanted)
    assert check_roles(cfg) == []
    for item in wanted:  # no GPU has two roles, and none is one that the node lacks
        devices = [*(item.train.devices if item.train else ()), *(item.serve.devices if item.serve else ())]
        assert len(set(devices)) == len(devices) and all(device < (cfg.accelerator.gpus or 0) for device in devices)
    ranks = [rank for item in wanted if item.train for rank in item.train.ranks]
    assert ranks == list(range(len(ranks))) and len(ranks) == wanted[0].train.world  # type: ignore[union-attr]


def test_a_task_that_trains_nothing_takes_no_server() -> None:
    found = roles(config({"processes": 1}, SERVER | {"gpus": 1}, trainer=False))
    assert found == (Roles(0, Train(0, 1, 1, ())),)  # and its engine may use every GPU


@pytest.mark.parametrize(
    ("accelerator", "engine", "what", "nearest"),
    [
        ({}, {}, "nothing says where the server is", ""),
        ({"processes": 7}, {"gpus": 1, "nodes": 1}, "both give GPUs to the server", ""),
        ({}, {"gpus": 1}, "engine.gpus=1 and accelerator.processes=8: a node has 8 GPUs", "accelerator.processes=7"),
        ({"gpus": 1, "processes": 1}, {"gpus": 1}, "a node has 1 GPU", "engine.gpus=1"),
        ({"nodes": 2, "processes": 7}, {"gpus": 1}, "needs a node of its own", "engine.nodes=1 engine.gpus=null"),
        ({"processes": 6}, {"gpus": 2}, "1 × 1 × 1 of them", "engine.data_parallel=2"),
        ({}, {"nodes": 1, "tensor_parallel": 3}, "3 × 1 × 1 of them", "engine.tensor_parallel=8"),
        ({}, {"nodes": 2, "tensor_parallel": 8}, "the server has 16 GPUs", "engine.data_parallel=2"),
    ],
)
def test_what_does_not_fit(accelerator: dict[str, Any], engine: dict[str, Any], what: str, nearest: str) -> None:
    ((_, finding),) = check_roles(config(accelerator, SERVER | engine))
    assert what in finding.what and finding.nearest == nearest
    assert finding.nearest or finding.fix
