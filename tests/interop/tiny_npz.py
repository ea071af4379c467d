"""Models of Marian's own with random numbers: its files, by its source's names."""

import json
from pathlib import Path

import numpy as np
import sentencepiece
import yaml
from tiny_marian import learn_pieces

D_MODEL, D_FF, HEADS = 32, 48, 4
OPTIONS = {
    "type": "transformer", "enc-depth": 2, "dec-depth": 1, "dim-emb": D_MODEL,
    "transformer-dim-ffn": D_FF, "transformer-heads": HEADS,
    "transformer-ffn-activation": "swish", "transformer-ffn-depth": 2,
    "transformer-decoder-autoreg": "self-attention", "transformer-preprocess": "",
    "transformer-postprocess": "dan", "transformer-postprocess-emb": "d",
    "transformer-postprocess-top": "", "transformer-no-projection": False,
    "transformer-train-positions": False, "transformer-tied-layers": [],
    "transformer-guided-alignment-layer": "last", "tied-embeddings-all": True,
}  # fmt: skip


def write_npz_directory(
    directory: Path, embeddings: str = "all", **changes
) -> dict[str, np.ndarray]:
    """Writes what Marian has; returns its arrays.

    Args:
        embeddings: "all", "target" or "none", as `share_embeddings`.
        changes: options, with _ in place of -.
    """
    directory.mkdir(parents=True)
    models = {"source": learn_pieces("source", "bpe", 60)}
    models["target"] = learn_pieces("target", "bpe", 70)
    pieces = {}
    for side, model in models.items():
        (directory / f"{side}.spm").write_bytes(model)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        own = [processor.id_to_piece(i) for i in range(3, len(processor))]
        pieces[side] = ["</s>", "<unk>", *own]
    if embeddings == "all":
        both = list(dict.fromkeys([*pieces["source"], *sorted(pieces["target"])]))
        pieces = {"source": both, "target": both}
    for side, own in pieces.items():
        lines = (
            f"{json.dumps(piece, ensure_ascii=False)}: {number}\n"
            for number, piece in enumerate(own)
        )
        (directory / f"{side}.yml").write_text("".join(lines))
    options = {**OPTIONS, **{k.replace("_", "-"): v for k, v in changes.items()}}
    arrays = random_arrays(options, embeddings, *map(len, pieces.values()))
    text = np.frombuffer(yaml.safe_dump(options).encode() + b"\0", np.int8)
    np.savez(directory / "model.npz", **arrays, **{"special:model.yml": text})
    (directory / "decoder.yml").write_text(
        "relative-paths: true\nmodels:\n  - model.npz\n"
        "vocabs:\n  - source.yml\n  - target.yml\nbeam-size: 3\nnormalize: 1\n"
    )
    return arrays


def random_arrays(options, embeddings, source_size, target_size):
    """The arrays by their names in Marian's source, of matrices `[in, out]`."""
    rng = np.random.default_rng(0)
    arrays = {}

    def matrix(name, rows, columns):
        noise = rng.standard_normal((rows, columns))
        arrays[name] = (D_MODEL**-0.5 * noise).astype(np.float32)

    def vector(name, width, mean=0.0):
        noise = mean + 0.2 * rng.standard_normal((1, width))
        arrays[name] = noise.astype(np.float32)

    def norm(prefix, suffix):
        vector(f"{prefix}_ln_scale{suffix}", D_MODEL, mean=1)
        vector(f"{prefix}_ln_bias{suffix}", D_MODEL)

    suffix = "_pre" if options["transformer-preprocess"] else ""
    for side, depth in (("encoder", "enc-depth"), ("decoder", "dec-depth")):
        for number in range(1, options[depth] + 1):
            prefix = f"{side}_l{number}"
            for block in ("self", "context")[: 1 + (side == "decoder")]:
                for letter in "qkvo":
                    matrix(f"{prefix}_{block}_W{letter}", D_MODEL, D_MODEL)
                    vector(f"{prefix}_{block}_b{letter}", D_MODEL)
                norm(f"{prefix}_{block}_Wo", suffix)
            matrix(f"{prefix}_ffn_W1", D_MODEL, D_FF)
            vector(f"{prefix}_ffn_b1", D_FF)
            matrix(f"{prefix}_ffn_W2", D_FF, D_MODEL)
            vector(f"{prefix}_ffn_b2", D_MODEL)
            norm(f"{prefix}_ffn_ffn", suffix)
        if suffix:
            norm(f"{side}_top", "")
    if embeddings == "all":
        matrix("Wemb", source_size, D_MODEL)
    else:
        matrix("encoder_Wemb", source_size, D_MODEL)
        matrix("decoder_Wemb", target_size, D_MODEL)
    if embeddings == "none":
        matrix("decoder_ff_logit_out_W", D_MODEL, target_size)
    vector("decoder_ff_logit_out_b", target_size)
    arrays["decoder_ff_logit_out_b"][0, 0] = 2  # Outputs end.
    return arrays
