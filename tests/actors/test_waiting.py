"""Waits on real Ray actors: each way to fail ends in one sentence within its time."""

import asyncio
import os
import time
from pathlib import Path

import pytest
import ray

from actors.waiting import answer, answers, fetched
from rl.faults import RunFailure

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    here = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=here)
    yield
    ray.shutdown()


class Worker:
    def say(self, word: str) -> str:
        return word

    def sleep(self) -> None:
        time.sleep(60)

    def blame_the_user(self) -> None:
        raise ValueError("photo.png: the image is damaged; replace it")

    def have_a_bug(self) -> None:
        {}["missing"]

    def die(self) -> None:
        os._exit(1)


@pytest.fixture
def worker(cluster):
    actor = ray.remote(Worker).options(num_cpus=0.1).remote()
    ray.get(actor.say.remote("ready"), timeout=60)
    yield actor
    ray.kill(actor)


def wait(reference, timeout_s: float = 30.0):
    async def one():
        return await answer(reference, "rollout worker 0", timeout_s)

    return asyncio.run(one())


def test_an_answer_comes_back(worker):
    assert wait(worker.say.remote("yes")) == "yes"


def test_a_fault_of_the_user_crosses_as_itself(worker):
    with pytest.raises(ValueError) as fault:
        wait(worker.blame_the_user.remote())
    assert str(fault.value) == "photo.png: the image is damaged; replace it"


def test_a_bug_names_the_actor_and_the_error(worker):
    with pytest.raises(RunFailure, match="rollout worker 0 failed: KeyError: 'missing'"):
        wait(worker.have_a_bug.remote())


def test_a_death_names_the_actor(worker):
    with pytest.raises(RunFailure, match="rollout worker 0 died"):
        wait(worker.die.remote())


def test_a_hung_call_ends_in_its_time(worker):
    start = time.monotonic()
    with pytest.raises(RunFailure, match=r"no answer in 1 s; .*cluster\.call_timeout_s"):
        wait(worker.sleep.remote(), timeout_s=1.0)
    assert time.monotonic() - start < 10


def test_the_first_failure_of_a_group_ends_the_wait_for_all(worker):
    async def both():
        other = ray.remote(Worker).options(num_cpus=0.1).remote()
        try:
            await answers([worker.sleep.remote(), other.blame_the_user.remote()], "learner", 50.0)
        finally:
            ray.kill(other)

    with pytest.raises(ValueError, match=r"photo\.png"):
        asyncio.run(both())


def test_an_object_that_never_comes_is_named(worker):
    with pytest.raises(RunFailure, match="the images of sample 7 did not arrive within 1 s"):
        fetched(worker.sleep.remote(), "the images of sample 7", 1.0)
