"""Sentences that wait enter shortest first, and devices take turns."""

import numpy as np

from transformer_jax.translation.search_requests import Request
from transformer_jax.translation.waiting_sentences import WaitingSentences

PAD = 7


def requests_of(lengths):
    return [
        Request(
            source=[10 * i + k for k in range(length)],
            limit=length + 50,
            seed=2**32 - 1 - i,
            prefix=[i] * (i % 3),
            num_leaves=i,
        )
        for i, length in enumerate(lengths)
    ]


def test_each_sentence_is_taken_once_shortest_first():
    lengths = np.random.default_rng(0).integers(1, 9, 23)
    waiting = WaitingSentences(requests_of(lengths), PAD)
    rng, order = np.random.default_rng(1), []
    while waiting:
        before = len(waiting)
        taken = waiting.take(2, width=rng.integers(waiting.next_length, 10), devices=3)
        own = taken.T[taken.T >= 0]
        assert len(own) == before - len(waiting)
        kept = rng.integers(0, len(own) + 1)
        waiting.put_back(rng.permutation(own[kept:]))
        assert len(waiting) == before - kept
        order.extend(own[:kept])
    assert sorted(order) == list(range(23))
    assert order == np.argsort(lengths, kind="stable").tolist()


def test_devices_take_turns():
    waiting = WaitingSentences(requests_of([1, 2, 3, 4, 5]), PAD)
    taken = waiting.take(4, width=9, devices=3)
    assert taken.tolist() == [[0, 3, -1, -1], [1, 4, -1, -1], [2, -1, -1, -1]]


def test_who_is_put_back_is_next_again():
    """As two devices that have begun different numbers of their sentences."""
    waiting = WaitingSentences(requests_of([4, 1, 2, 2, 3, 6]), PAD)
    assert waiting.take(2, width=9, devices=2).tolist() == [[1, 3], [2, 4]]
    waiting.put_back(np.array([4, 3]))
    assert len(waiting) == 4
    assert waiting.take(2, width=4, devices=2).tolist() == [[3, 0], [4, -1]]
    assert waiting.next_length == 6


def test_arrays_are_the_requests():
    lengths = [3, 1, 5, 2]
    requests = requests_of(lengths)
    waiting = WaitingSentences(requests, PAD)
    taken = np.array([[2, -1], [0, 1]])
    new = waiting.arrays(taken, width=6, prefix=2)
    assert new.sources.dtype == new.fields.dtype == np.int32
    for source, fields, index in zip(new.sources, new.fields, taken.flat, strict=True):
        if index < 0:
            assert source.tolist() == [0] + [PAD] * 6
            assert fields.tolist() == [0, 0, 0, -1, -1]
            continue
        request = requests[index]
        padding = [PAD] * (6 - lengths[index])
        assert source.tolist() == [lengths[index], *request.source, *padding]
        assert fields[[0, 2]].tolist() == [request.limit, index]
        assert fields[1:2].view(np.uint32)[0] == request.seed
        prefix = request.prefix + [-1] * (2 - len(request.prefix))
        assert fields[3:].tolist() == prefix


def test_none_is_taken_where_it_does_not_fit():
    waiting = WaitingSentences(requests_of([3, 5]), PAD)
    assert (waiting.take(2, width=2, devices=2) == -1).all()
    assert len(waiting) == 2
    assert waiting.take(2, width=4, devices=2).tolist() == [[0, -1], [-1, -1]]
    assert waiting.next_length == 5
