"""A tokenised corpus on disk.

A corpus is a directory of raw little-endian arrays, `source_tokens.bin`,
`source_offsets.bin`, `target_tokens.bin`, `target_offsets.bin`, and `manifest.json`,
which is written last. It is mapped into memory, so that only the disk limits its size.
"""

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from transformer_jax.data.corpus import (
    OFFSET_TYPE,
    Corpus,
    Sentences,
    compute_offsets,
    join_tokens,
)
from transformer_jax.errors import InputError

if TYPE_CHECKING:  # A batch needs no tokenizer.
    from transformer_jax.tokenizer.tokenizer import Tokenizer

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_PAIRS_PER_CHUNK = 10_000


def write_corpus(
    pairs: Iterable[tuple[str, str]],
    tokenizer: "Tokenizer",
    directory: str | os.PathLike[str],
    *,
    fingerprint: str | None = None,
) -> Corpus:
    """Tokenises the pairs into a directory and returns the corpus, mapped into memory.

    Pairs with an empty side are left out and counted. The directory appears when it is
    complete, and replaces an older one.

    Args:
        fingerprint: identifies the text, so that a change of it is noticed later.

    Raises:
        InputError: every pair has an empty side.
    """
    final = Path(directory)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{final.name}.partial-", dir=final.parent))
    try:
        counts = _write_arrays(pairs, tokenizer, partial)
        if not counts["num_pairs"]:
            raise InputError(
                f"no pair of {getattr(pairs, 'name', 'the text')} can be used: all "
                f"{counts['num_empty']} have an empty source or target; check the "
                "data section of the configuration."
            )
        manifest = {
            "format_version": FORMAT_VERSION,
            "source_dtype": _token_type(tokenizer.source_vocab_size).str,
            "target_dtype": _token_type(tokenizer.target_vocab_size).str,
            "bos_id": tokenizer.bos_id,
            "pad_id": tokenizer.pad_id,
            "tokenizer_digest": tokenizer.digest,
            "fingerprint": fingerprint,
            **counts,
        }
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        partial.chmod(0o755)  # mkdtemp gives access to the owner alone.
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return load_corpus(final)


def load_corpus(directory: str | os.PathLike[str]) -> Corpus:
    """Returns the corpus that `write_corpus` wrote, mapped into memory.

    Raises:
        InputError: there is no corpus, or it is damaged or has another format.
    """
    folder = Path(directory)
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        if manifest["format_version"] != FORMAT_VERSION:
            raise InputError(
                f"the tokenised corpus in {str(folder)!r} has format "
                f"{manifest['format_version']}, not {FORMAT_VERSION}: remove it, and "
                "it is made again."
            )
        return Corpus(
            _map_side(folder, "source", manifest),
            _map_side(folder, "target", manifest),
            bos_id=manifest["bos_id"],
            pad_id=manifest["pad_id"],
            num_empty=manifest["num_empty"],
            tokenizer_digest=manifest["tokenizer_digest"],
            fingerprint=manifest["fingerprint"],
        )
    except FileNotFoundError as error:
        raise InputError(
            f"no tokenised corpus in {str(folder)!r} ({Path(error.filename).name} is "
            "missing): run `transformer-jax prepare`."
        ) from None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(
            f"{str(folder / MANIFEST)!r} is damaged ({type(error).__name__}: {error}): "
            f"remove {str(folder)!r}, and it is made again."
        ) from None


def _token_type(vocab_size: int) -> np.dtype:
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")


def _chunks(pairs: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    remaining = iter(pairs)
    while chunk := list(itertools.islice(remaining, _PAIRS_PER_CHUNK)):
        yield chunk


def _write_arrays(
    pairs: Iterable[tuple[str, str]], tokenizer: "Tokenizer", folder: Path
) -> dict[str, int]:
    """Writes tokens and offsets of both sides chunk by chunk; returns the counts."""
    num_read = num_pairs = 0
    with (
        _SideWriter(folder, "source", tokenizer.source_vocab_size) as source,
        _SideWriter(folder, "target", tokenizer.target_vocab_size) as target,
    ):
        for chunk in _chunks(pairs):
            usable = [pair for pair in chunk if pair[0].strip() and pair[1].strip()]
            source.append(tokenizer.encode_source([pair[0] for pair in usable]))
            target.append(tokenizer.encode_target([pair[1] for pair in usable]))
            num_read += len(chunk)
            num_pairs += len(usable)
    return {
        "num_pairs": num_pairs,
        "num_empty": num_read - num_pairs,
        "num_source_tokens": source.num_tokens,
        "num_target_tokens": target.num_tokens,
    }


class _SideWriter:
    """Appends sentences to the two files of one side."""

    def __init__(self, folder: Path, side: str, vocab_size: int) -> None:
        self.num_tokens = 0
        self._dtype = _token_type(vocab_size)
        self._tokens: BinaryIO = (folder / f"{side}_tokens.bin").open("wb")
        self._offsets: BinaryIO = (folder / f"{side}_offsets.bin").open("wb")
        self._offsets.write(np.zeros(1, OFFSET_TYPE).tobytes())

    def append(self, sentences: Sequence[Sequence[int]]) -> None:
        offsets = compute_offsets(sentences, self.num_tokens)
        self._tokens.write(join_tokens(sentences, self._dtype).tobytes())
        self._offsets.write(offsets[1:].tobytes())
        self.num_tokens = int(offsets[-1])

    def __enter__(self) -> "_SideWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._tokens.close()
        self._offsets.close()


def _map_side(folder: Path, side: str, manifest: dict[str, Any]) -> Sentences:
    """Returns one side, mapped into memory; its files must fit the manifest."""
    expected = {
        "tokens": (np.dtype(manifest[f"{side}_dtype"]), f"num_{side}_tokens", 0),
        "offsets": (OFFSET_TYPE, "num_pairs", 1),
    }
    arrays = {}
    for kind, (dtype, count, extra) in expected.items():
        path = folder / f"{side}_{kind}.bin"
        if path.stat().st_size != (manifest[count] + extra) * dtype.itemsize:
            raise InputError(
                f"{str(path)!r} has {path.stat().st_size} bytes, not the "
                f"{(manifest[count] + extra) * dtype.itemsize} of its manifest: remove "
                f"{str(folder)!r}, and it is made again."
            )
        arrays[kind] = np.memmap(path, dtype, mode="r")
    return Sentences(arrays["tokens"], arrays["offsets"])
