"""An engine for all tests of the folder: importing vLLM takes longer than the tests."""

from pathlib import Path

import pytest

from rollout.config import RolloutConfig
from rollout.engine import Engine


@pytest.fixture(scope="session")
def engine(tiny_model: Path) -> Engine:
    config = RolloutConfig(
        max_prompt_tokens=384, max_response_tokens=24, max_num_seqs=32, temperature=0.7, kv_cache_mb=16
    )
    return Engine(str(tiny_model), config, dtype="float32", seed=0)
