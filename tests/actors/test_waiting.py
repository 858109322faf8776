"""Waits for real Ray actors: every kind of failure ends the wait in time, with one sentence."""

import asyncio
import errno
import os
import time
from pathlib import Path

import numpy as np
import pytest
import ray

from actors.peers import Peer, ask, ask_one, peers, watch, while_alive
from actors.waiting import Limit, answer, answers, fetched, together
from launch.run.crash import sentence_of
from rl.faults import ActorBug, RunFailure, UserError, is_bug

pytestmark = pytest.mark.slow
LONG = Limit(seconds=50.0, key="cluster.call_timeout_s")
SHORT = Limit(seconds=1.0, key="cluster.call_timeout_s")


@pytest.fixture(scope="module")
def cluster():
    here = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=here)
    yield
    ray.shutdown()


class Worker:
    def say(self, word: str) -> str:
        return word

    def where(self) -> str:
        return "some node"

    def pulse(self) -> None:
        time.sleep(60)

    def sleep(self) -> None:
        time.sleep(60)

    def blame_the_user(self) -> None:
        raise UserError("photo.png: the image is damaged; replace it")

    def have_a_bug(self) -> None:
        {}["missing"]

    def reshape(self) -> None:
        np.zeros(3).reshape(2)

    def fill_the_disk(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def die(self) -> None:
        os._exit(1)


@pytest.fixture
def worker(cluster):
    actor = ray.remote(Worker).options(num_cpus=0.1).remote()
    ray.get(actor.say.remote("ready"), timeout=60)
    yield actor
    ray.kill(actor)


def wait(reference, limit: Limit = LONG):
    async def one():
        return await answer(reference, "rollout worker 0", limit)

    return asyncio.run(one())


def test_an_answer_comes_back(worker):
    assert wait(worker.say.remote("yes")) == "yes"


def test_a_fault_of_the_user_crosses_as_itself(worker):
    with pytest.raises(UserError) as fault:
        wait(worker.blame_the_user.remote())
    assert str(fault.value) == "photo.png: the image is damaged; replace it"


def test_a_bug_names_the_actor_and_the_error(worker):
    with pytest.raises(ActorBug, match="rollout worker 0 failed: KeyError: 'missing'"):
        wait(worker.have_a_bug.remote())


def test_a_value_error_that_is_none_of_ours_is_a_bug(worker):
    with pytest.raises(ActorBug, match="rollout worker 0 failed: ValueError: cannot reshape"):
        wait(worker.reshape.remote())


def test_what_the_machine_of_an_actor_lacks_is_no_bug(worker):
    with pytest.raises(RunFailure, match="rollout worker 0 failed: OSError: .*No space left") as failure:
        wait(worker.fill_the_disk.remote())
    assert not is_bug(failure.value)


def test_a_bug_in_an_actor_leaves_the_traceback_from_there_in_the_run_folder(worker, tmp_path, capsys):
    with pytest.raises(ActorBug) as bug:
        wait(worker.have_a_bug.remote())
    told = sentence_of(bug.value, str(tmp_path))
    assert told.startswith(f"rollout worker 0 failed: KeyError: 'missing'; its traceback is in {tmp_path}/crash.txt")
    kept = (tmp_path / "crash.txt").read_text()
    assert "in have_a_bug" in kept and '{}["missing"]' in kept and "\x1b" not in kept
    assert kept in capsys.readouterr().err


def test_a_death_names_the_actor(worker):
    with pytest.raises(RunFailure, match="rollout worker 0 died"):
        wait(worker.die.remote())


def test_a_hung_call_ends_in_its_time(worker):
    start = time.monotonic()
    with pytest.raises(RunFailure, match=r"no answer in 1 s; .*cluster\.call_timeout_s"):
        wait(worker.sleep.remote(), SHORT)
    assert time.monotonic() - start < 10


def test_a_stop_that_comes_together_with_an_answer_is_not_lost():
    async def stopped() -> bool:
        future = asyncio.get_running_loop().create_future()
        waiting = asyncio.ensure_future(answer(future, "Ray", LONG))
        for _ in range(2):
            await asyncio.sleep(0)
        future.set_result("yes")
        waiting.cancel()
        await asyncio.wait([waiting])
        return waiting.cancelled()

    assert asyncio.run(stopped())


def test_the_first_failure_of_a_group_ends_the_wait_for_all(worker):
    async def both():
        other = ray.remote(Worker).options(num_cpus=0.1).remote()
        try:
            await answers([worker.sleep.remote(), other.blame_the_user.remote()], ["learner 0", "learner 1"], LONG)
        finally:
            ray.kill(other)

    start = time.monotonic()
    with pytest.raises(ValueError, match=r"photo\.png"):
        asyncio.run(both())
    assert time.monotonic() - start < 20


def test_the_one_of_several_actors_that_fails_is_named(worker):
    async def both():
        await answers([worker.say.remote("yes"), worker.have_a_bug.remote()], ["learner 0", "learner 1"], LONG)

    with pytest.raises(RunFailure, match="learner 1 failed: KeyError"):
        asyncio.run(both())


def test_the_answers_come_in_the_order_of_the_questions(worker):
    async def three():
        return await answers([worker.say.remote(word) for word in "abc"], map(str, range(3)), LONG)

    assert asyncio.run(three()) == ["a", "b", "c"]


def test_awaited_work_is_cancelled_when_a_part_of_it_fails():
    async def act():
        dropped = asyncio.Event()

        async def endless():
            try:
                await asyncio.Event().wait()
            finally:
                dropped.set()

        async def fail():
            await asyncio.sleep(0)
            raise RunFailure("learner 1 died")

        with pytest.raises(RunFailure, match="learner 1 died"):
            await together([endless(), fail()])
        assert dropped.is_set()

    asyncio.run(act())


def test_peers_are_called_by_number_and_place(worker):
    async def act():
        (found,) = await peers("rollout worker", [worker], LONG)
        assert str(found) == "rollout worker 0 (some node)"
        assert await ask([found, found], lambda handle: handle.say.remote("yes"), LONG) == ["yes", "yes"]
        with pytest.raises(RunFailure, match=r"^rollout worker 0 \(some node\) failed: KeyError"):
            await ask_one(found, lambda handle: handle.have_a_bug.remote(), LONG)

    asyncio.run(act())


def test_a_peer_that_dies_while_another_hangs_is_noticed_at_once(worker):
    mortal = ray.remote(Worker).options(num_cpus=0.1, max_concurrency=2).remote()
    ray.get(mortal.say.remote("ready"), timeout=60)

    async def act():
        everyone = [
            Peer(name=name, handle=handle, place="some node")
            for name, handle in (("learner 0", worker), ("learner 1", mortal))
        ]
        watching = asyncio.ensure_future(watch(everyone))
        await asyncio.sleep(0.2)
        assert not watching.done()
        mortal.die.remote()
        await asyncio.wait_for(watching, 20)

    with pytest.raises(RunFailure, match=r"learner 1 \(some node\) died"):
        asyncio.run(act())


def test_work_is_done_while_all_live_and_dropped_when_one_dies(worker):
    mortal = ray.remote(Worker).options(num_cpus=0.1, max_concurrency=2).remote()
    ray.get(mortal.say.remote("ready"), timeout=60)
    who = [Peer(name="frozen model 0", handle=mortal, place="some node")]

    async def act():
        async def done():
            return 7

        async def endless():
            mortal.die.remote()
            await asyncio.Event().wait()

        assert await while_alive(done(), who) == 7
        await asyncio.wait_for(while_alive(endless(), who), 20)

    with pytest.raises(RunFailure, match=r"frozen model 0 \(some node\) died"):
        asyncio.run(act())


def test_an_object_that_never_comes_is_named(worker):
    with pytest.raises(RunFailure, match="the images of sample 7 did not arrive within 1 s"):
        fetched(worker.sleep.remote(), "the images of sample 7", 1.0)
