"""Properties of the whole model: what depends on what, and what must not matter."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.config.model import ModelConfig
from transformer_jax.model.dropout import Dropout
from transformer_jax.model.transformer import Transformer

ROWS, SOURCE, TARGET, VOCAB = 6, 12, 10, 30
CONFIG = ModelConfig(
    vocab_size=VOCAB, d_model=16, d_ff=24, num_heads=2,
    num_encoder_layers=3, num_decoder_layers=2,
)  # fmt: skip
# Lengths of six sentence pairs, three of which share each of two rows.
SOURCE_LENGTHS, TARGET_LENGTHS = (5, 4, 2, 3, 1, 8), (3, 4, 3, 1, 5, 2)


@functools.partial(jax.jit, static_argnums=0)
def forward(config, params, source, target_inputs, **fields):
    """Returns float32 logits `[rows, target, vocab]` without dropout."""

    def run(model):
        return model.logits(model(source, target_inputs, deterministic=True, **fields))

    return Transformer(config).apply({"params": params}, method=run)


@pytest.fixture(scope="module")
def tokens():
    rng = np.random.default_rng(0)
    source = rng.integers(0, VOCAB, (ROWS, SOURCE))
    return source, rng.integers(0, VOCAB, (ROWS, TARGET))


def unpacked_fields():
    """Each pair in a row of its own."""

    def one_a_row(lengths, width):
        return jnp.asarray(np.arange(width) < np.array(lengths)[:, None], jnp.int32)

    def positions(width):
        return jnp.asarray(np.tile(np.arange(width), (ROWS, 1)))

    return {
        "source_segments": one_a_row(SOURCE_LENGTHS, SOURCE),
        "target_segments": one_a_row(TARGET_LENGTHS, TARGET),
        "source_positions": positions(SOURCE),
        "target_positions": positions(TARGET),
    }


def pack(array, lengths):
    """The pairs' values, three pairs to a row; rows and places left over are 0."""
    rows = np.zeros_like(array)
    for pair, length in enumerate(lengths):
        row, start = pair // 3, sum(lengths[pair - pair % 3 : pair])
        rows[row, start : start + length] = array[pair, :length]
    return rows


def packed_fields():
    ordinals = np.array([1, 2, 3, 1, 2, 3])[:, None]

    def segments(lengths, width):
        return pack(np.tile(ordinals, (1, width)), lengths)

    def positions(lengths, width):
        return pack(np.tile(np.arange(width), (ROWS, 1)), lengths)

    fields = {
        "source_segments": segments(SOURCE_LENGTHS, SOURCE),
        "target_segments": segments(TARGET_LENGTHS, TARGET),
        "source_positions": positions(SOURCE_LENGTHS, SOURCE),
        "target_positions": positions(TARGET_LENGTHS, TARGET),
    }
    return jax.tree.map(jnp.asarray, fields)


@pytest.mark.parametrize("changed", [0, 4, TARGET - 1])
def test_a_target_token_is_seen_by_itself_and_what_follows(
    tokens, changed, random_params
):
    source, target = tokens
    params, fields = random_params(CONFIG), unpacked_fields()
    fields["target_segments"] = jnp.ones((ROWS, TARGET), jnp.int32)
    other = target.copy()
    other[:, changed] = (target[:, changed] + 1) % VOCAB
    before = forward(CONFIG, params, source, target, **fields)
    after = forward(CONFIG, params, source, other, **fields)
    differs = np.any(np.asarray(before != after), axis=-1)
    assert not differs[:, :changed].any()  # Bitwise: nothing leaks, however little.
    assert differs[:, changed:].all()


def test_padding_is_not_seen(tokens, random_params):
    source, target = tokens
    params, fields = random_params(CONFIG), unpacked_fields()
    is_target = np.asarray(fields["target_segments"]) != 0
    result = forward(CONFIG, params, source, target, **fields)
    source, target = source.copy(), target.copy()
    source[np.asarray(fields["source_segments"]) == 0] = 7
    target[~is_target] = 7
    other = forward(CONFIG, params, source, target, **fields)
    np.testing.assert_array_equal(result[is_target], other[is_target])
    # The first pair alone, without any padding, and without positions or segments.
    alone = forward(
        CONFIG, params, source[:1, : SOURCE_LENGTHS[0]], target[:1, : TARGET_LENGTHS[0]]
    )
    np.testing.assert_allclose(alone[0], result[0, : TARGET_LENGTHS[0]], atol=1e-5)


def test_packed_sentences_do_not_see_each_other(tokens, random_params):
    source, target = tokens
    params = random_params(CONFIG)
    unpacked = forward(CONFIG, params, source, target, **unpacked_fields())
    result = forward(
        CONFIG, params, pack(source, SOURCE_LENGTHS), pack(target, TARGET_LENGTHS),
        **packed_fields(),
    )  # fmt: skip
    is_target = np.asarray(packed_fields()["target_segments"]) != 0
    expected = pack(np.asarray(unpacked), TARGET_LENGTHS)
    np.testing.assert_allclose(result[is_target], expected[is_target], atol=1e-5)
    assert is_target.sum() == sum(TARGET_LENGTHS)
    # The four rows left over are padding alone.
    assert np.all(np.isfinite(result))


def test_an_attention_window_reaches_as_far_as_the_layers_carry_it(
    tokens, random_params
):
    config = dataclasses.replace(CONFIG, attention_window=1)
    params, (source, target) = random_params(config), tokens

    @jax.jit
    def encode(source):
        return Transformer(config).apply(
            {"params": params}, source, deterministic=True, method="encode"
        )

    other = source.copy()
    other[:, 5] = (source[:, 5] + 1) % VOCAB
    differs = np.any(np.asarray(encode(source) != encode(other)), axis=(0, -1))
    # Three layers: three positions to each side.
    np.testing.assert_array_equal(differs, np.abs(np.arange(SOURCE) - 5) <= 3)

    fields = packed_fields()
    fields["target_segments"] = jnp.ones((ROWS, TARGET), jnp.int32)
    other = target.copy()
    other[:, 4] = (target[:, 4] + 1) % VOCAB
    before = forward(config, params, source, target, **fields)
    after = forward(config, params, source, other, **fields)
    differs = np.any(np.asarray(before != after), axis=(0, -1))
    distance = np.arange(TARGET) - 4
    np.testing.assert_array_equal(differs, (distance >= 0) & (distance <= 2))


@functools.partial(jax.jit, static_argnums=0)
def decoder_gradient(config, params, target_inputs, memory):
    """Of a sum over the decoder's output, with dropout."""

    def value(params):
        hidden = Transformer(config).apply(
            {"params": params}, target_inputs, memory, method="decode",
            deterministic=False, rngs={"dropout": jax.random.key(3)},
        )  # fmt: skip
        return jnp.sum(jnp.sin(3.0 * hidden))

    return jax.value_and_grad(value)(params)


@pytest.mark.slow
@pytest.mark.parametrize("remat", ["cheap", "layer"])
def test_unrolling_and_rematerialisation_change_neither_value_nor_gradient(
    remat, random_params
):
    params = random_params(CONFIG)
    rng = np.random.default_rng(1)
    memory = jnp.asarray(rng.standard_normal((2, 4, 16)), jnp.float32)
    inputs = (jnp.asarray(rng.integers(0, VOCAB, (2, 6))), memory)
    other = dataclasses.replace(CONFIG, scan_unroll=2, remat=remat)
    value, gradient = decoder_gradient(CONFIG, params, *inputs)
    other_value, other_gradient = decoder_gradient(other, params, *inputs)
    np.testing.assert_allclose(other_value, value, rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
        other_gradient,
        gradient,
    )


@pytest.mark.parametrize("unroll", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_rematerialisation_computes_again(unroll, random_params):
    """Otherwise it could do nothing, and every other test would pass."""

    def products(remat):
        config = dataclasses.replace(
            CONFIG, num_encoder_layers=2, scan_unroll=unroll, remat=remat
        )

        def value(params):
            return Transformer(config).apply(
                {"params": params}, jnp.zeros((2, 64), jnp.int32),
                deterministic=True, method="encode",
            ).sum()  # fmt: skip

        lowered = jax.jit(jax.grad(value)).lower(random_params(config))
        if unroll == 1:
            return lowered.as_text().count("stablehlo.dot_general")
        # Where the layers are not in a loop, the compiler would merge a product with
        # its repetition, unless it is kept from that.
        return lowered.compile().as_text().count(" dot(")

    # Q, K, V, scores, weighted values, W^O and the inner product of the feed-forward;
    # of the last layer, unrolled, some are still at hand.
    assert products("layer") >= products("none") + 6
    # Of those, scores and weighted values alone: not one product with parameters.
    assert 1 <= products("cheap") - products("none") <= 2


def test_dropout_acts_on_embeddings_and_differs_between_layers(tokens, random_params):
    config = dataclasses.replace(CONFIG, dropout_rate=0.3)
    source, target = (jnp.asarray(np.tile(array, (8, 8))) for array in tokens)

    @jax.jit
    def outputs_of_dropout():
        _, variables = Transformer(config).apply(
            {"params": random_params(config)}, source, target,
            deterministic=False, rngs={"dropout": jax.random.key(0)},
            capture_intermediates=lambda module, _: isinstance(module, Dropout),
        )  # fmt: skip
        return variables["intermediates"]

    outputs = outputs_of_dropout()
    embedded = outputs["dropout"]["__call__"]
    assert len(embedded) == 2  # Source and target.
    for output in embedded:
        np.testing.assert_allclose(np.mean(output == 0), 0.3, atol=0.02)
    residual = outputs["encoder"]["feed_forward_residual"]["Dropout_0"]["__call__"][0]
    dropped = np.asarray(residual == 0)
    assert dropped.shape[0] == config.num_encoder_layers
    np.testing.assert_allclose(dropped.mean(axis=(1, 2, 3)), 0.3, atol=0.02)
    assert np.mean(dropped[0] == dropped[1]) < 0.7  # 0.58 where independent.


def test_bfloat16_is_for_products_only(tokens, random_params):
    config = dataclasses.replace(CONFIG, compute_dtype="bfloat16")
    params = random_params(config)
    made = jax.eval_shape(
        lambda: Transformer(config).init(
            jax.random.key(0), *map(jnp.asarray, tokens), deterministic=True
        )
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {jnp.dtype("float32")}

    exact = forward(CONFIG, params, *tokens, **unpacked_fields())
    rounded = forward(config, params, *tokens, **unpacked_fields())
    assert rounded.dtype == jnp.float32
    error = jnp.abs(rounded - exact)
    assert error.max() > 1e-4  # Rounded indeed ...
    assert error.mean() < 0.02 * exact.std()  # ... and no more than that.


def test_a_position_beyond_the_learned_table_is_seen_in_its_row(tokens, random_params):
    config = dataclasses.replace(CONFIG, positions="learned", max_length=SOURCE)
    fields = packed_fields()
    fields["target_positions"] = fields["target_positions"].at[1, 0].set(SOURCE)
    result = forward(config, random_params(config), *tokens, **fields)
    is_nan = np.all(np.isnan(result), axis=(1, 2))
    np.testing.assert_array_equal(is_nan, np.arange(ROWS) == 1)
    assert np.all(np.isfinite(result[0]))
