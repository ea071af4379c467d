"""Updates of Hugging Face MarianMT and OpenNMT-py, for `train_beside_peers.py`.

Both have torch's Adam at a small constant learning rate, label smoothing of 0.1, the
dropout of the settings on embeddings and sub-layers, and one matrix for both
vocabularies and the output. Sinusoids, relu, sizes and token ids are ours.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from side_by_side import NUM_THREADS, Round

from transformer_jax.config.model import ModelConfig

LABEL_SMOOTHING = 0.1
_ADAM: dict[str, Any] = {"lr": 1e-4, "betas": (0.9, 0.98), "eps": 1e-9}


def prepare_marian(
    model: ModelConfig,
    batches: list[dict[str, np.ndarray]],
    bos_id: int,
    pad_id: int,
    num_updates: int,
) -> Callable[[], Round]:
    """Returns rounds of MarianMT, with scaled dot-product attention and fused Adam."""
    import torch
    from transformers import MarianConfig, MarianMTModel

    torch.set_num_threads(NUM_THREADS)
    config = MarianConfig(
        vocab_size=model.vocab_size, d_model=model.d_model,
        encoder_layers=model.num_encoder_layers,
        decoder_layers=model.num_decoder_layers,
        encoder_ffn_dim=model.d_ff, decoder_ffn_dim=model.d_ff,
        encoder_attention_heads=model.num_heads,
        decoder_attention_heads=model.num_heads,
        dropout=model.dropout_rate, activation_function="relu", scale_embedding=True,
        pad_token_id=pad_id, bos_token_id=bos_id, decoder_start_token_id=bos_id,
        use_cache=False, attn_implementation="sdpa",
    )  # fmt: skip
    network = MarianMTModel(config).train()
    optimizer = torch.optim.Adam(network.parameters(), fused=True, **_ADAM)
    prepared = [
        {
            "input_ids": torch.from_numpy(batch["source"]),
            "attention_mask": _mask(batch, "source").long(),
            "decoder_input_ids": torch.from_numpy(
                _shift(batch["target"], bos_id)[:, :-1]
            ),
            "labels": torch.where(
                _mask(batch, "target"), torch.from_numpy(batch["target"]), -100
            ),
        }
        for batch in batches
    ]

    def update(number: int) -> float:
        batch = dict(prepared[number])
        labels = batch.pop("labels")
        logits = network(**batch).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), label_smoothing=LABEL_SMOOTHING
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return _rounds(update, batches, num_updates)


def prepare_opennmt(
    model: ModelConfig,
    batches: list[dict[str, np.ndarray]],
    bos_id: int,
    pad_id: int,
    num_updates: int,
) -> Callable[[], Round]:
    """Returns rounds of OpenNMT-py: its model, its loss, and the Adam of its trainer.

    Its layers are pre-norm; it has no others.
    """
    import onmt.models
    import torch
    from onmt.decoders import TransformerDecoder
    from onmt.encoders import TransformerEncoder
    from onmt.modules import Embeddings
    from onmt.utils.loss import LossCompute

    torch.set_num_threads(NUM_THREADS)
    embeddings = [
        Embeddings(
            model.d_model, model.vocab_size, pad_id, position_encoding=True,
            dropout=model.dropout_rate,
        )
        for _ in range(2)
    ]  # fmt: skip
    sizes = {
        "d_model": model.d_model, "heads": model.num_heads, "d_ff": model.d_ff,
        "dropout": model.dropout_rate, "attention_dropout": 0.0,
        "max_relative_positions": 0, "relative_positions_buckets": 0,
    }  # fmt: skip
    encoder = TransformerEncoder(
        num_layers=model.num_encoder_layers, embeddings=embeddings[0], **sizes
    )
    decoder = TransformerDecoder(
        num_layers=model.num_decoder_layers, embeddings=embeddings[1],
        copy_attn=False, self_attn_type="scaled-dot-flash", aan_useffn=False,
        full_context_alignment=False, alignment_layer=-1, alignment_heads=0, **sizes,
    )  # fmt: skip
    network = onmt.models.NMTModel(encoder, decoder)
    network.generator = torch.nn.Linear(model.d_model, model.vocab_size)
    # As its trainer does with `param_init_glorot`: it makes weights without values.
    for name, weight in network.named_parameters():
        if weight.dim() > 1:
            torch.nn.init.xavier_uniform_(weight)
        elif name.endswith("bias"):
            torch.nn.init.zeros_(weight)
    embeddings[1].word_lut.weight = embeddings[0].word_lut.weight
    network.generator.weight = embeddings[0].word_lut.weight
    network.train()
    criterion = torch.nn.CrossEntropyLoss(
        ignore_index=pad_id, reduction="sum", label_smoothing=LABEL_SMOOTHING
    )
    compute_loss = LossCompute(criterion, network.generator)
    optimizer = torch.optim.Adam(network.parameters(), **_ADAM)
    prepared = [
        {
            "src": torch.from_numpy(batch["source"])[..., None],
            "srclen": torch.from_numpy(batch["source_lengths"]),
            "tgt": torch.from_numpy(_shift(batch["target"], bos_id))[..., None],
        }
        for batch in batches
    ]

    def update(number: int) -> float:
        batch = prepared[number]
        num_tokens = int(batches[number]["target_lengths"].sum())
        optimizer.zero_grad(set_to_none=True)
        output, attention = network(batch["src"], batch["tgt"], batch["srclen"])
        loss, _ = compute_loss(batch, output, attention)
        loss = loss / num_tokens
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return _rounds(update, batches, num_updates)


def _rounds(
    update: Callable[[int], float],
    batches: list[dict[str, np.ndarray]],
    num_updates: int,
) -> Callable[[], Round]:
    """Returns a function that does the next updates and times them."""
    numbers: Iterator[int] = itertools.cycle(range(len(batches)))

    def run() -> Round:
        chosen = list(itertools.islice(numbers, num_updates))
        started = time.perf_counter()
        losses = [update(number) for number in chosen]
        seconds = time.perf_counter() - started
        tokens = sum(int(batches[number]["target_lengths"].sum()) for number in chosen)
        return {"seconds": seconds, "target_tokens": tokens, "loss": losses[-1]}

    return run


def _shift(target: np.ndarray, bos_id: int) -> np.ndarray:
    """Returns the target with beginning-of-sentence before it."""
    return np.pad(target, ((0, 0), (1, 0)), constant_values=bos_id)


def _mask(batch: dict[str, np.ndarray], side: str) -> Any:
    """Returns where a padded side has tokens."""
    import torch

    places = np.arange(batch[side].shape[1])
    return torch.from_numpy(places < batch[f"{side}_lengths"][:, None])
