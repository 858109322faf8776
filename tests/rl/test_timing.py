"""Seconds by name: they add up, are drained, and count once while spans of one name overlap."""

import asyncio
import time

import pytest

from rl.timing import Timings

TICK_S = 0.05
SLACK = {"abs": 0.04}


def test_timings_start_again_after_a_drain():
    timings = Timings()
    timings.add("update", 2.0)
    timings.add("update", 1.0)

    assert timings.drain()["time/update"] == 3.0
    assert timings.drain().keys() == {"time/step"}


def test_a_step_lasts_from_one_drain_to_the_next():
    timings = Timings()
    time.sleep(TICK_S)
    assert timings.drain()["time/step"] >= TICK_S
    assert timings.drain()["time/step"] < TICK_S


def test_spans_of_one_name_add_up():
    timings = Timings()
    for _ in range(2):
        with timings.span("sync"):
            time.sleep(TICK_S)
    assert timings.drain()["time/sync"] == pytest.approx(2 * TICK_S, **SLACK)


def test_shared_spans_that_overlap_count_once():
    timings = Timings()

    async def one(start_s: float) -> None:
        await asyncio.sleep(start_s)
        with timings.shared_span("reward"):
            await asyncio.sleep(2 * TICK_S)

    async def three() -> None:
        await asyncio.gather(one(0), one(TICK_S), one(2 * TICK_S))

    asyncio.run(three())
    # From the start of the first to the end of the last, not three times a span.
    assert timings.drain()["time/reward"] == pytest.approx(4 * TICK_S, **SLACK)


def test_shared_spans_apart_add_up_without_the_gap():
    timings = Timings()
    for _ in range(2):
        with timings.shared_span("reward"):
            time.sleep(TICK_S)
        time.sleep(4 * TICK_S)
    assert timings.drain()["time/reward"] == pytest.approx(2 * TICK_S, **SLACK)


def test_shared_spans_of_different_names_are_counted_separately():
    timings = Timings()
    with timings.shared_span("reward"):
        with timings.shared_span("generate"):
            time.sleep(TICK_S)
        time.sleep(TICK_S)
    drained = timings.drain()
    assert drained["time/generate"] == pytest.approx(TICK_S, **SLACK)
    assert drained["time/reward"] == pytest.approx(2 * TICK_S, **SLACK)


def test_a_shared_span_that_fails_is_counted_and_closed():
    timings = Timings()
    with pytest.raises(ValueError, match="bad"), timings.shared_span("reward"):
        time.sleep(TICK_S)
        raise ValueError("bad")
    assert timings.drain()["time/reward"] >= TICK_S
    with timings.shared_span("reward"):
        pass
    assert timings.drain()["time/reward"] < TICK_S
