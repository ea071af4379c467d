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
        rooms = rng.integers(0, 5, 3)
        taken = waiting.take(4, waiting.next_length, rooms)
        assert ((taken >= 0).sum(axis=1) <= rooms).all()
        own = taken.T[taken.T >= 0]
        assert len(own) == before - len(waiting)
        assert set(lengths[own]) <= {lengths[own].min()} if len(own) else True
        order.extend(own)
    assert sorted(order) == list(range(23))
    assert (np.diff(lengths[order]) >= 0).all()


def test_devices_take_turns():
    waiting = WaitingSentences(requests_of([1, 2, 3, 4, 5]), PAD)
    taken = waiting.take(4, width=9, rooms=np.array([4, 1, 0]))
    assert taken.tolist() == [[0, 2, 3, 4], [1, -1, -1, -1], [-1] * 4]


def test_arrays_are_the_requests():
    lengths = [3, 1, 5, 2]
    requests = requests_of(lengths)
    waiting = WaitingSentences(requests, PAD)
    taken = np.array([[2, -1], [0, 1]])
    rows = np.array([[4, 9], [0, 3]])
    new = waiting.arrays(taken, rows, width=6, prefix=2)
    assert new.sources.dtype == new.fields.dtype == np.int32
    for source, fields, index, row in zip(
        new.sources, new.fields, taken.flat, rows.flat, strict=True
    ):
        if index < 0:
            assert source.tolist() == [0] + [PAD] * 6
            assert fields.tolist() == [row, 0, 0, 0, -1, -1]
            continue
        request = requests[index]
        padding = [PAD] * (6 - lengths[index])
        assert source.tolist() == [lengths[index], *request.source, *padding]
        assert fields[[0, 1, 3]].tolist() == [row, request.limit, index]
        assert fields[2:3].view(np.uint32)[0] == request.seed
        prefix = request.prefix + [-1] * (2 - len(request.prefix))
        assert fields[4:].tolist() == prefix


def test_none_is_taken_where_it_does_not_fit():
    waiting = WaitingSentences(requests_of([3, 5]), PAD)
    assert (waiting.take(2, width=2, rooms=np.array([2, 2])) == -1).all()
    assert (waiting.take(2, width=9, rooms=np.array([0, 0])) == -1).all()
    assert len(waiting) == 2
    assert waiting.take(2, width=4, rooms=np.array([2, 2])).tolist() == [
        [0, -1],
        [-1, -1],
    ]
    assert waiting.next_length == 5
