"""The cuts are the best of all that there are, and no part is too long."""

import itertools
import tracemalloc

import numpy as np
import pytest

from transformer_jax.translation.matching_lengths import fewest_parts, match_lengths


def cost(parts, units, counts):
    """Gale and Church's sum, written plainly."""
    share = sum(units) / sum(parts)
    ends = list(itertools.accumulate(counts, initial=0))
    return sum(
        (sum(units[first:last]) - share * part) ** 2 / part
        for part, (first, last) in zip(parts, itertools.pairwise(ends), strict=True)
    )


def all_counts(parts, units):
    for cuts in itertools.combinations_with_replacement(range(units + 1), parts - 1):
        yield np.diff([0, *cuts, units]).tolist()


def test_parts_by_hand():
    assert match_lengths([10, 20], [5, 5, 10, 10], [1] * 4, 9) == [2, 2]
    assert match_lengths([30, 10], [5, 5, 10, 10], [1] * 4, 9) == [3, 1]
    assert match_lengths([9, 9, 9], [4], [1], 9).count(1) == 1, "two have nothing"
    assert match_lengths([9, 9], [], [], 9) == [0, 0]
    # By their lengths the first three belong together, but there is no room.
    assert match_lengths([30, 10], [5, 5, 10, 10], [4] * 4, 8) == [2, 2]


@pytest.mark.parametrize("seed", range(30))
def test_no_other_cuts_have_a_smaller_sum(seed):
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, 5))
    parts = rng.integers(1, 40, number).tolist()
    units = rng.integers(1, 30, rng.integers(0, 8)).tolist()
    tokens = rng.integers(0, 5, len(units)).tolist()
    room = int(rng.integers(4, 12))
    needed = fewest_parts(tokens, room)
    parts += [1] * (needed - number)

    def fits(counts):
        left = iter(tokens)
        return all(sum(itertools.islice(left, n)) <= room for n in counts)

    allowed = [c for c in all_counts(len(parts), len(units)) if fits(c)]
    found = match_lengths(parts, units, tokens, room)
    assert found in allowed
    best = min(cost(parts, units, counts) for counts in allowed)
    assert cost(parts, units, found) == pytest.approx(best, abs=1e-9)
    if needed > 1:
        assert not any(map(fits, all_counts(needed - 1, len(units))))


def best_cost(parts, units, tokens, room):
    """The smallest sum of all cuts, from a table of every place."""
    share = sum(units) / sum(parts)
    ends, used = np.cumsum([0, *units]), np.cumsum([0, *tokens])
    costs = np.where(ends == 0, 0.0, np.inf)
    for part in parts:
        off = ends[:, None] - ends - share * part
        allowed = (off + share * part >= 0) & (used[:, None] - used <= room)
        costs = (np.where(allowed, off**2 / part, np.inf) + costs).min(axis=1)
    return costs[-1]


@pytest.mark.parametrize("kind", ["parts", "units", "tokens", "most tokens"])
@pytest.mark.parametrize("seed", range(10))
def test_cuts_far_from_their_places_in_proportion_are_found(kind, seed):
    """One half has longer parts, longer units, or units of more tokens."""
    rng = np.random.default_rng(seed)
    parts = rng.integers(50, 90, 60)
    units, tokens = rng.integers(5, 30, 240), rng.integers(1, 5, 240)
    sizes = {"parts": parts, "units": units}.get(kind, tokens)
    sizes[len(sizes) // 2 :] *= 2 if kind == "tokens" else 6
    room = 200 if kind == "parts" else int(tokens.max())
    while fewest_parts(tokens.tolist(), room) > 60:
        room += 1
    if kind == "tokens":  # Some cuts are near, but the best are not.
        room = int(1.2 * room)
    given = parts.tolist(), units.tolist(), tokens.tolist(), room
    counts = match_lengths(*given)
    assert cost(*given[:2], counts) == pytest.approx(best_cost(*given))


@pytest.mark.slow
def test_a_text_of_many_parts_takes_no_table_of_all_places():
    rng = np.random.default_rng(0)
    parts = rng.integers(40, 80, 1_000).tolist()
    units = rng.integers(1, 60, 6_000).tolist()
    tracemalloc.start()
    try:
        counts = match_lengths(parts, units, [2] * 6_000, 40)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(counts) == 6_000
    assert peak < 1_000 * 6_000 * 4 / 8
