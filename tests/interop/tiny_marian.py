"""Marian models of OPUS-MT's architecture with random weights, made by transformers."""

import io
import json
from pathlib import Path

import sentencepiece
from tiny_runs import reversed_pairs

SENTENCES = ("ba be bi.", "Das kostet 12,50 Euro!", "mo ku ka", "do", "A dog, a cat?")
# Words of one language that the other's pieces lack.
_ENDINGS = {"source": " stone bridge cold", "target": " Brücke schön Straße kalt"}


def learn_pieces(side: str, kind: str, size: int) -> bytes:
    """A SentencePiece model as that of OPUS-MT: no padding, NFKC, <s> not used."""
    written = io.BytesIO()
    pairs = reversed_pairs(400)
    lines = [pair[side == "target"] + _ENDINGS[side] for pair in pairs]
    lines += SENTENCES
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=written, model_type=kind,
        vocab_size=size, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, minloglevel=2,
        hard_vocab_limit=False,
    )  # fmt: skip
    return written.getvalue()


def write_marian_directory(directory: Path, kind: str = "unigram", **changes) -> None:
    """Writes what `from_pretrained` loads; changes are of `MarianConfig`."""
    import torch
    import transformers

    directory.mkdir(parents=True)
    pieces: list[str] = ["</s>", "<unk>"]
    for side in ("source", "target"):
        model = learn_pieces(side, kind, 60 if side == "source" else 70)
        (directory / f"{side}.spm").write_bytes(model)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        own = [processor.id_to_piece(i) for i in range(3, len(processor))]
        # As in OPUS-MT, the order is not that of either.
        pieces += [piece for piece in sorted(own) if piece not in pieces]
    pieces += [">>deu<<", "<pad>"]
    ids = {piece: number for number, piece in enumerate(pieces)}
    (directory / "vocab.json").write_text(json.dumps(ids))
    (directory / "tokenizer_config.json").write_text(
        json.dumps({"source_lang": "en", "target_lang": "de", "model_max_length": 512})
    )
    sizes = {
        "vocab_size": len(pieces), "d_model": 32, "encoder_layers": 2,
        "decoder_layers": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4,
        "max_position_embeddings": 128, "activation_function": "swish",
        "scale_embedding": True, "pad_token_id": ids["<pad>"], "eos_token_id": 0,
        "decoder_start_token_id": ids["<pad>"], "forced_eos_token_id": 0,
    }  # fmt: skip
    config = transformers.MarianConfig(**{**sizes, **changes})
    model = transformers.MarianMTModel(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if "embed_positions" in name:
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            is_matrix = tensor.ndim == 2 and name != "final_logits_bias"
            scale = 1.5 * tensor.shape[-1] ** -0.5 if is_matrix else 0.2
            tensor.copy_(scale * noise + ("norm.weight" in name))
        model.final_logits_bias[0, 0] = 1.0  # Outputs end.
    model.generation_config = transformers.GenerationConfig(
        num_beams=3, max_length=64, pad_token_id=ids["<pad>"], eos_token_id=0,
        decoder_start_token_id=ids["<pad>"], bad_words_ids=[[ids["<pad>"]]],
        forced_eos_token_id=0,
    )  # fmt: skip
    model.save_pretrained(directory)
