"""The last of these tests: the server is killed, and the run says so at once."""

from __future__ import annotations

import os
import signal

import pytest

from r1lab.engines.base import Completion, Sampling
from r1lab.errors import EngineError
from tests.vllm.conftest import Served


def test_a_server_that_dies_is_noticed_and_named(served: Served) -> None:
    prompts = [[{"role": "user", "content": f"What is {i} + 1?"}] for i in range(400)]
    kept: list[Completion] = []
    assert served.started.gone() == ""

    def keep(place: int, index: int, completion: Completion) -> None:
        kept.append(completion)
        if len(kept) == 20:
            assert served.started.child is not None
            os.killpg(served.started.child.pid, signal.SIGKILL)

    with pytest.raises(EngineError, match=r"the server that was started .* was killed by SIGKILL") as error:
        served.engine.generate(prompts, Sampling(max_tokens=48), None, keep)
    assert "server.log" in str(error.value) and "resume=FOLDER" in str(error.value)
    assert 20 <= len(kept) < 400
