"""Path lengths against a search through the graph of who sees whom."""

import numpy as np
import pytest

from transformer_jax.reproduction.table_1.layers import LAYERS, Size
from transformer_jax.reproduction.table_1.paths import longest_path, reached_through

R, K = 3, 3


def sees(name, length, layer):
    """[output, input]: what a layer joins, from its definition."""
    back = np.arange(length)[:, None] - np.arange(length)[None, :]
    dilation = K**layer if name == "dilated" else 1
    return {
        "self_attention": back >= -length,
        "restricted": abs(back) <= R,
        "convolutional": np.isin(back, range(K)),
        "dilated": np.isin(back, dilation * np.arange(K)),
        "recurrent": np.isin(back, range(2)),
    }[name]


def longest_by_search(name, length):
    """The most layers that any two positions need, of those that are ever joined."""
    if name == "recurrent":  # To take in the input is a step too.
        return 1 + longest_through(lambda _: sees(name, length, 0), length)
    return longest_through(lambda layer: sees(name, length, layer), length)


def longest_through(joins, length):
    needed = np.full((length, length), -1)
    joined = np.eye(length, dtype=bool)
    for layer in range(length):
        joined = joined @ joins(layer)
        needed[joined & (needed < 0)] = layer + 1
    return needed.max()


@pytest.mark.parametrize("length", [9, 10, 14])
@pytest.mark.parametrize(
    "name", ["self_attention", "restricted", "convolutional", "dilated", "recurrent"]
)
def test_paths_are_those_of_a_search(name, length):
    found = longest_path(name, length, restricted=R, kernel=K)
    assert found == longest_by_search(name, length)


@pytest.mark.parametrize(
    ("name", "restricted", "kernel", "expected"),
    [
        ("self_attention", 4, 3, 1),
        ("recurrent", 4, 3, 65),  # n
        ("convolutional", 4, 3, 32),  # (n - 1) / (k - 1)
        ("dilated", 4, 3, 4),  # log_3 65 = 3.8
        ("dilated", 4, 2, 7),  # log_2 65 = 6.02
        ("restricted", 4, 3, 16),  # (n - 1) / r
    ],
)
def test_paths_are_those_of_table_1(name, restricted, kernel, expected):
    assert longest_path(name, 65, restricted=restricted, kernel=kernel) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["recurrent", "restricted_whole"])
def test_a_gradient_tells_which_inputs_an_output_has(name):
    """Changing an input by hand changes the same outputs."""
    length = 10
    layer = LAYERS[name](Size(length, 8, R, K))
    parameters, x = layer.random_arguments()
    reached = reached_through(layer)
    by_gradient = np.stack([reached(row)[0] for row in np.eye(length, dtype=bool)])
    before = np.asarray(layer.function(parameters, x))
    for place in range(length):
        after = np.asarray(layer.function(parameters, x.at[0, place].add(1.0)))
        changed = (before != after).any((0, 2))
        np.testing.assert_array_equal(by_gradient[:, place], changed)
