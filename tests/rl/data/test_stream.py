"""The order in which training sees its samples."""

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


def test_a_stream_set_to_a_position_goes_on_from_there():
    straight, resumed = SampleStream(list(range(6)), 1), SampleStream(list(range(6)), 1)
    straight.take(9)
    resumed.position = 9

    assert straight.take(4) == resumed.take(4)


def test_another_seed_gives_another_order():
    assert SampleStream(list(range(20)), 0).take(20) != SampleStream(list(range(20)), 1).take(20)
