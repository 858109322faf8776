"""The order in which training sees its samples."""

import random
import time

from hypothesis import given
from hypothesis import strategies as st

from rl.data.stream import SampleStream


def test_every_sample_comes_once_an_epoch_in_an_order_of_its_own():
    stream = SampleStream(list(range(20)), seed=0)

    first, second = stream.take(20), stream.take(20)

    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second


@given(cuts=st.lists(st.integers(1, 7), max_size=8), seed=st.integers(0, 5))
def test_the_order_does_not_depend_on_how_it_is_taken(cuts, seed):
    whole, pieces = SampleStream(list(range(5)), seed), SampleStream(list(range(5)), seed)

    assert whole.take(sum(cuts)) == [sample for cut in cuts for sample in pieces.take(cut)]


@given(taken=st.integers(0, 20), count=st.integers(0, 20))
def test_a_stream_that_starts_at_a_position_goes_on_from_there(taken, count):
    straight, resumed = SampleStream(list(range(6)), 1), SampleStream(list(range(6)), 1, taken)
    straight.take(taken)

    assert resumed.take(count) == straight.take(count)
    assert resumed.position == taken + count


def test_the_order_of_an_epoch_is_that_of_its_seed_and_number():
    epoch = list(range(7))
    random.Random("3/2").shuffle(epoch)

    assert SampleStream(list(range(7)), 3, 14).take(7) == epoch


def test_a_batch_of_a_large_data_set_is_drawn_at_once():
    stream = SampleStream(list(range(100_000)), seed=0)
    start = time.process_time()
    stream.take(1)
    one = time.process_time() - start

    start = time.process_time()
    stream.take(1_000)

    assert time.process_time() - start < 10 * one


def test_another_seed_gives_another_order():
    assert SampleStream(list(range(20)), 0).take(20) != SampleStream(list(range(20)), 1).take(20)
