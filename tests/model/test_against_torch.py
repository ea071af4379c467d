"""The whole forward pass, loss and gradient against torch.nn.Transformer.

The weights are ours, copied. PyTorch's own are the encoder and decoder stacks and the
cross entropy; embeddings, sinusoids and the tied projection are written out here.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer_jax.config.model import ModelConfig
from transformer_jax.loss.cross_entropy import label_smoothed_cross_entropy
from transformer_jax.model.transformer import Transformer

torch = pytest.importorskip("torch")

CONFIG = ModelConfig(
    vocab_size=100, d_model=64, d_ff=128, num_heads=4,
    num_encoder_layers=3, num_decoder_layers=2,
)  # fmt: skip
SOURCE_LENGTHS, TARGET_LENGTHS = np.array([13, 5, 9]), np.array([11, 12, 4])


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    source = rng.integers(0, 100, (3, 13))
    target, labels = rng.integers(0, 100, (2, 3, 12))
    source_segments = (np.arange(13) < SOURCE_LENGTHS[:, None]).astype(np.int32)
    target_segments = (np.arange(12) < TARGET_LENGTHS[:, None]).astype(np.int32)
    return source, target, labels, source_segments, target_segments


def by_torch(config, params, inputs):
    """Returns logits, loss, and the gradients of matrix and first inner product."""
    stacks = _stacks(config.norm == "pre", config.norm_epsilon)
    _copy_stacks(stacks, params)
    matrix = torch.tensor(params["embedding"]["matrix"], requires_grad=True)
    source, target, labels, source_segments, target_segments = map(
        torch.from_numpy, inputs
    )
    future = torch.triu(torch.ones(12, 12, dtype=torch.bool), diagonal=1)
    hidden = stacks(
        matrix[source] * 8.0 + _sinusoids(13),
        matrix[target] * 8.0 + _sinusoids(12),
        tgt_mask=future,
        src_key_padding_mask=source_segments == 0,
        tgt_key_padding_mask=target_segments == 0,
        memory_key_padding_mask=source_segments == 0,
    )
    logits = hidden @ matrix.T
    if config.output_bias:
        logits = logits + torch.tensor(params["output_bias"]["bias"])
    real = target_segments != 0
    loss = torch.nn.functional.cross_entropy(
        logits[real], labels[real], label_smoothing=0.1, reduction="sum"
    )
    loss.backward()
    inner = stacks.encoder.layers[0].linear1.weight.grad
    return tuple(x.detach().numpy() for x in (logits, loss, matrix.grad, inner.T))


def _sinusoids(length):
    i = np.arange(64) // 2
    angles = np.arange(length)[:, None] / 10_000 ** (2 * i / 64)
    even = np.arange(64) % 2 == 0
    return torch.tensor(np.where(even, np.sin(angles), np.cos(angles))).float()


def _stacks(pre_norm, epsilon):
    sizes = {"d_model": 64, "nhead": 4, "dim_feedforward": 128, "dropout": 0.0}
    settings = {
        **sizes, "layer_norm_eps": epsilon, "batch_first": True, "norm_first": pre_norm
    }  # fmt: skip
    # Only with pre-norm does a LayerNorm follow the last layer.
    encoder_norm, decoder_norm = (
        torch.nn.LayerNorm(64, eps=epsilon) if pre_norm else None for _ in range(2)
    )
    return torch.nn.Transformer(
        d_model=64,
        nhead=4,
        batch_first=True,
        custom_encoder=torch.nn.TransformerEncoder(
            torch.nn.TransformerEncoderLayer(**settings), 3, encoder_norm,
            enable_nested_tensor=False,
        ),
        custom_decoder=torch.nn.TransformerDecoder(
            torch.nn.TransformerDecoderLayer(**settings), 2, decoder_norm
        ),
    )  # fmt: skip


def _copy_stacks(stacks, params):
    encoder, decoder = params["encoder"], params["decoder"]
    for i, layer in enumerate(stacks.encoder.layers):
        _copy_attention(layer.self_attn, encoder["self_attention"], i)
        _copy_feed_forward(layer, encoder["feed_forward"], i)
        _copy_norm(layer.norm1, encoder["self_attention_residual"]["norm"], i)
        _copy_norm(layer.norm2, encoder["feed_forward_residual"]["norm"], i)
    for i, layer in enumerate(stacks.decoder.layers):
        _copy_attention(layer.self_attn, decoder["self_attention"], i)
        _copy_attention(layer.multihead_attn, decoder["cross_attention"], i)
        _copy_feed_forward(layer, decoder["feed_forward"], i)
        _copy_norm(layer.norm1, decoder["self_attention_residual"]["norm"], i)
        _copy_norm(layer.norm2, decoder["cross_attention_residual"]["norm"], i)
        _copy_norm(layer.norm3, decoder["feed_forward_residual"]["norm"], i)
    if stacks.encoder.norm is not None:
        _copy_norm(stacks.encoder.norm, params["encoder_norm"])
        _copy_norm(stacks.decoder.norm, params["decoder_norm"])


def _copy(parameter, array):
    with torch.no_grad():
        parameter.copy_(torch.tensor(np.asarray(array)))


def _copy_attention(attention, params, i):
    three = [params[name]["kernel"][i] for name in ("query", "key", "value")]
    _copy(
        attention.in_proj_weight, np.concatenate([w.reshape(64, 64).T for w in three])
    )
    _copy(attention.out_proj.weight, params["output"]["kernel"][i].reshape(64, 64).T)
    if "bias" in params["output"]:
        three = [params[name]["bias"][i] for name in ("query", "key", "value")]
        _copy(attention.in_proj_bias, np.concatenate([b.reshape(64) for b in three]))
        _copy(attention.out_proj.bias, params["output"]["bias"][i])
    else:
        _copy(attention.in_proj_bias, np.zeros(3 * 64))
        _copy(attention.out_proj.bias, np.zeros(64))


def _copy_feed_forward(layer, params, i):
    for linear, name in ((layer.linear1, "inner"), (layer.linear2, "outer")):
        _copy(linear.weight, params[name]["kernel"][i].T)
        _copy(linear.bias, params[name]["bias"][i])


def _copy_norm(norm, params, i=slice(None)):
    _copy(norm.weight, params["scale"][i])
    _copy(norm.bias, params["bias"][i])


def run(model, inputs):
    """Returns loss and logits of a bound model."""
    source, target, labels, source_segments, target_segments = map(jnp.asarray, inputs)
    hidden = model(
        source, target, source_segments=source_segments,
        target_segments=target_segments, deterministic=True,
    )  # fmt: skip
    sums = label_smoothed_cross_entropy(
        hidden, model.output_matrix(), labels, target_segments.astype(jnp.float32),
        bias=model.output_bias(), label_smoothing=0.1, slice_tokens=12,
    )  # fmt: skip
    return sums.loss, model.logits(hidden)


def test_logits_loss_and_gradients_are_those_of_torch(random_params, inputs):
    def loss_and_logits(params):
        return Transformer(CONFIG).apply({"params": params}, inputs, method=run)

    params = random_params(CONFIG)
    logits, loss, by_matrix, by_inner = by_torch(CONFIG, params, inputs)
    results = jax.jit(jax.value_and_grad(loss_and_logits, has_aux=True))(params)
    (our_loss, our_logits), gradient = results
    real = inputs[-1] != 0
    assert logits[real].std() > 0.5
    np.testing.assert_allclose(our_logits[real], logits[real], atol=1e-4)
    np.testing.assert_allclose(our_loss, loss, rtol=1e-5)
    ours = gradient["embedding"]["matrix"]
    np.testing.assert_allclose(ours, by_matrix, rtol=1e-3, atol=1e-4)
    ours = gradient["encoder"]["feed_forward"]["inner"]["kernel"][0]
    np.testing.assert_allclose(ours, by_inner, rtol=1e-3, atol=1e-4)
    assert np.abs(by_matrix).max() > 0.1
    assert np.abs(by_inner).max() > 0.1


@pytest.mark.parametrize(
    "changes",
    [
        {"norm": "pre"},
        {"attention_bias": True, "output_bias": True, "norm_epsilon": 0.1},
    ],
    ids=["pre-norm", "as in Marian"],
)
def test_variants_have_the_logits_of_torch(random_params, inputs, changes):
    config = dataclasses.replace(CONFIG, **changes)
    params = random_params(config)

    @jax.jit
    def loss_and_logits(params):
        return Transformer(config).apply({"params": params}, inputs, method=run)

    loss, logits = loss_and_logits(params)
    expected_logits, expected_loss, *_ = by_torch(config, params, inputs)
    real = inputs[-1] != 0
    np.testing.assert_allclose(logits[real], expected_logits[real], atol=1e-4)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
