"""A tokenised corpus: flat token arrays and where each sentence begins in them.

On disk a corpus is a directory of raw little-endian arrays, `source_tokens.bin`,
`source_offsets.bin`, `target_tokens.bin`, `target_offsets.bin`, and `manifest.json`,
written last. It is mapped into memory when loaded, so its size is bounded by the disk.
"""

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from transformer_jax.errors import InputError

if TYPE_CHECKING:  # A batch needs no tokenizer.
    from transformer_jax.tokenizer.tokenizer import Tokenizer

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_OFFSETS = np.dtype("<i8")
_PAIRS_PER_CHUNK = 10_000


@dataclass(frozen=True, eq=False)
class Sentences:
    """One side of a corpus: sentence i is `tokens[offsets[i]:offsets[i + 1]]`."""

    tokens: np.ndarray
    """Unsigned ids, end-of-sentence included."""
    offsets: np.ndarray
    """int64, one more than there are sentences."""

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each sentence."""
        return np.diff(self.offsets)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]


@dataclass(frozen=True, eq=False)
class Corpus:
    """Tokenised sentence pairs, in memory or mapped from disk."""

    source: Sentences
    target: Sentences
    bos_id: int
    pad_id: int
    num_empty: int = 0
    """Pairs of the text that were left out because a side was empty."""
    tokenizer_digest: str | None = None
    fingerprint: str | None = None
    """Names the text it was made from, as the caller of `write_corpus` did."""

    @property
    def num_pairs(self) -> int:
        """Pairs of sentences, all with at least one token on each side."""
        return len(self.source.offsets) - 1

    @property
    def source_lengths(self) -> np.ndarray:
        """Tokens of each source sentence, end-of-sentence included."""
        return self.source.lengths

    @property
    def target_lengths(self) -> np.ndarray:
        """Tokens of each target sentence, end-of-sentence included."""
        return self.target.lengths


def make_corpus(
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    *,
    bos_id: int,
    pad_id: int,
) -> Corpus:
    """A corpus in memory, of token ids that end with end-of-sentence."""
    if len(sources) != len(targets):
        raise InputError(
            f"{len(sources)} source sentences but {len(targets)} target sentences: "
            "a corpus needs pairs."
        )
    source, target = (
        Sentences(_flat(sentences, np.dtype("<u4")), _offsets_of(sentences))
        for sentences in (sources, targets)
    )
    return Corpus(source, target, bos_id=bos_id, pad_id=pad_id)


def write_corpus(
    pairs: Iterable[tuple[str, str]],
    tokenizer: "Tokenizer",
    directory: str | os.PathLike[str],
    *,
    fingerprint: str | None = None,
) -> Corpus:
    """Tokenises the pairs into a directory and returns the corpus mapped from it.

    Pairs with an empty side are left out and counted. The directory appears when all
    of it is written, and replaces one of that name.

    Args:
        fingerprint: names the text, to tell later whether the corpus is still of it.

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
        partial.chmod(0o755)  # mkdtemp's is for the owner alone.
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return load_corpus(final)


def load_corpus(directory: str | os.PathLike[str]) -> Corpus:
    """The corpus that `write_corpus` wrote, mapped into memory.

    Raises:
        InputError: there is none, or it is damaged or of another format.
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


def _flat(sentences: Sequence[Sequence[int]], dtype: np.dtype) -> np.ndarray:
    total = sum(map(len, sentences))
    return np.fromiter(itertools.chain.from_iterable(sentences), dtype, total)


def _offsets_of(sentences: Sequence[Sequence[int]], first: int = 0) -> np.ndarray:
    lengths = np.fromiter(map(len, sentences), _OFFSETS, len(sentences))
    return first + np.concatenate([np.zeros(1, _OFFSETS), np.cumsum(lengths)])


def _chunks(pairs: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    remaining = iter(pairs)
    while chunk := list(itertools.islice(remaining, _PAIRS_PER_CHUNK)):
        yield chunk


def _write_arrays(
    pairs: Iterable[tuple[str, str]], tokenizer: "Tokenizer", folder: Path
) -> dict[str, int]:
    """Writes tokens and offsets of both sides a chunk at a time; returns the counts."""
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
        self._offsets.write(np.zeros(1, _OFFSETS).tobytes())

    def append(self, sentences: Sequence[Sequence[int]]) -> None:
        offsets = _offsets_of(sentences, self.num_tokens)
        self._tokens.write(_flat(sentences, self._dtype).tobytes())
        self._offsets.write(offsets[1:].tobytes())
        self.num_tokens = int(offsets[-1])

    def __enter__(self) -> "_SideWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._tokens.close()
        self._offsets.close()


def _map_side(folder: Path, side: str, manifest: dict[str, Any]) -> Sentences:
    """Maps the two files of one side, checked against the manifest's counts."""
    expected = {
        "tokens": (np.dtype(manifest[f"{side}_dtype"]), f"num_{side}_tokens", 0),
        "offsets": (_OFFSETS, "num_pairs", 1),
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
