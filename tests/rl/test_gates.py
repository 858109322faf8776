"""The parity gate and the learning-rate schedule."""

import logging
import math

import pytest

from rl.algorithm import AlgoConfig, Schedule
from rl.parity import check_parity, warn_of_parity
from rl.schedule import lr_factor


def test_parity_passes_warns_and_stops(caplog):
    config = AlgoConfig(parity_warn=1e-3, parity_stop=1e-1)

    check_parity(1e-2, 1.0, config)
    with caplog.at_level(logging.WARNING):
        warn_of_parity(1e-4, 1.0, config)
        assert not caplog.records
        warn_of_parity(1e-2, 1.0, config)
    assert "algo.parity_warn" in caplog.text
    with pytest.raises(ValueError, match=r"algo\.parity_stop=0\.1"):
        check_parity(0.2, 1.0, config)


def test_a_nan_difference_of_log_probs_stops_the_run():
    with pytest.raises(ValueError, match="parity_stop"):
        check_parity(math.nan, math.nan, AlgoConfig())


def test_the_rate_warms_up_and_falls_to_zero():
    linear = AlgoConfig(warmup_steps=2, schedule=Schedule.linear)
    cosine = AlgoConfig(warmup_steps=2, schedule=Schedule.cosine)

    assert [lr_factor(step, linear, 6) for step in range(7)] == [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    assert [round(lr_factor(step, cosine, 6), 3) for step in (2, 4, 6)] == [1.0, 0.5, 0.0]


def test_warm_up_may_be_a_share_of_the_steps_and_restarts_reach_the_peak():
    config = AlgoConfig(warmup_share=0.2, schedule=Schedule.cosine_restarts, num_cycles=2)
    found = [round(lr_factor(step, config, 10), 3) for step in range(11)]
    assert found == [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 1.0, 0.854, 0.5, 0.146, 0.0]
