"""Array sizes of a batch: few, large enough, and whole tiles of the cache."""

import pytest

from transformer_jax.translation.batch_sizer import BatchSizer


@pytest.mark.parametrize("length", [1, 31, 32, 33, 100, 1_000])
def test_rows_are_as_wide_as_a_power_of_two_and_hold_the_tokens(length):
    sizes = BatchSizer(4_096, 50, None).sizes(length, 1_000, 0)
    assert length <= sizes.width < max(33, 2 * length)
    assert sizes.width & (sizes.width - 1) == 0
    assert 4_096 // 2 < sizes.rows * sizes.width <= 4_096
    assert sizes.max_length == sizes.width + 50


def test_a_cache_that_is_not_packed_has_a_slot_for_every_step_at_first():
    assert BatchSizer(4_096, 50, None).sizes(60, 8, 0).slots == 64


@pytest.mark.parametrize("beam", [2, 3, 4, 5, 21, 64])
@pytest.mark.parametrize("width", [16, 32, 64, 512])
def test_a_cache_that_is_packed_is_smaller_and_of_whole_tiles(beam, width):
    sizer = BatchSizer(4_096, 50, None, packed_beam=beam, least_width=16)
    slots = sizer.sizes(width, 8, 0).slots
    # Once an output of this length is packed, there is room for several steps.
    assert width / beam + 4 < slots <= width or slots == width
    tiled = BatchSizer(
        4_096, 50, None, packed_beam=beam, cache_tile=128, least_width=16
    )
    tiles = -(-slots * beam // 128)
    assert tiled.sizes(width, 8, 0).slots == min(width, tiles * 128 // beam)


def test_no_array_is_longer_than_the_model_has_positions():
    sizes = BatchSizer(4_096, 50, 40).sizes(33, 8, 0)
    assert (sizes.width, sizes.slots, sizes.max_length) == (40, 40, 40)
