"""A tokenised corpus on disk.

A corpus is a directory of raw little-endian arrays, `source_tokens.bin`,
`source_offsets.bin`, `target_tokens.bin`, `target_offsets.bin`, and `manifest.json`,
which is written last. It is mapped into memory, so that only the disk limits its size.
"""

import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from transformer_jax.data.corpus import OFFSET_TYPE, Corpus, Sentences
from transformer_jax.data.encoded_chunks import (
    TOKEN_TYPES,
    EncodedSide,
    encode_chunks,
    token_type,
)
from transformer_jax.errors import InputError
from transformer_jax.storage.json_values import parse_json
from transformer_jax.storage.outputs import explain_write_errors

if TYPE_CHECKING:  # A batch needs no tokenizer.
    from transformer_jax.data.sentence_pairs import SentencePairs
    from transformer_jax.tokenizer.tokenizer import Tokenizer

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_BYTES_PER_READ = 1 << 24
_FILES = [
    f"{side}_{kind}.bin"
    for side in ("source", "target")
    for kind in ("tokens", "offsets")
]
_NOT_AS_WRITTEN = "{!r} is damaged (its checksum is not that of what was written)"


class DamagedCorpus(InputError):  # noqa: N818 - it says what was found
    """A tokenised corpus that is of no use; `problem` is the message without advice."""

    def __init__(self, folder: Path, problem: str) -> None:
        super().__init__(f"{problem}: remove {str(folder)!r}, and it is made again.")
        self.problem = problem


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
        InputError: every pair has an empty side, or the disk is full.
    """
    final = Path(directory)
    with explain_write_errors(final, beside_work=True):
        _write_whole_corpus(pairs, tokenizer, final, fingerprint)
    return load_corpus(final)


def _write_whole_corpus(
    pairs: Iterable[tuple[str, str]],
    tokenizer: "Tokenizer",
    final: Path,
    fingerprint: str | None,
) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{final.name}.partial-", dir=final.parent))
    try:
        counts, checksums = _write_arrays(pairs, tokenizer, partial)
        if not counts["num_pairs"]:
            raise _nothing_usable(pairs, counts["num_empty"])
        manifest = {
            "format_version": FORMAT_VERSION,
            "source_dtype": token_type(tokenizer.source_vocab_size).str,
            "target_dtype": token_type(tokenizer.target_vocab_size).str,
            "bos_id": tokenizer.bos_id,
            "pad_id": tokenizer.pad_id,
            "tokenizer_digest": tokenizer.digest,
            "fingerprint": fingerprint,
            **counts,
            "crc32": checksums,
        }
        manifest["seal"] = _seal(manifest)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        partial.chmod(0o755)  # mkdtemp gives access to the owner alone.
        if final.is_symlink() or final.is_file():
            final.unlink()
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_usable(pairs: "SentencePairs") -> None:
    """Checks that some pair has text on both sides, before anything is made of them.

    Raises:
        InputError: none has, or none of one of several corpora.
    """
    for part in pairs.corpora or (pairs,):
        if not any(source.strip() and target.strip() for source, target in part):
            raise _nothing_usable(part, len(part))


def _nothing_usable(pairs: Iterable[tuple[str, str]], number: int) -> InputError:
    return InputError(
        f"no pair of {getattr(pairs, 'name', 'the text')} can be used: all {number} "
        "have an empty source or target; check the data section of the configuration."
    )


def load_corpus(directory: str | os.PathLike[str]) -> Corpus:
    """Returns the corpus that `write_corpus` wrote, mapped into memory.

    Raises:
        InputError: there is no corpus, or it is damaged or has another format.
    """
    folder = Path(directory)
    try:
        manifest = parse_json((folder / MANIFEST).read_text())
        if manifest["format_version"] != FORMAT_VERSION:
            raise DamagedCorpus(
                folder,
                f"the tokenised corpus in {str(folder)!r} has format "
                f"{manifest['format_version']}, not {FORMAT_VERSION}",
            )
        sizes = tuple(manifest.get("corpus_sizes", ()))
        if sizes and sum(sizes) != manifest["num_pairs"]:
            raise ValueError("the corpora have other sizes than the whole")
        return Corpus(
            _map_side(folder, "source", manifest),
            _map_side(folder, "target", manifest),
            bos_id=manifest["bos_id"],
            pad_id=manifest["pad_id"],
            num_empty=manifest["num_empty"],
            num_same=manifest.get("num_same", 0),
            tokenizer_digest=manifest["tokenizer_digest"],
            fingerprint=manifest["fingerprint"],
            corpus_sizes=sizes,
        )
    except FileNotFoundError as error:
        raise InputError(
            f"no tokenised corpus in {str(folder)!r} ({Path(error.filename).name} is "
            "missing): run `transformer-jax prepare`."
        ) from None
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCorpus(
            folder,
            f"{str(folder / MANIFEST)!r} is damaged ({type(error).__name__}: {error})",
        ) from None


def _seal(manifest: dict[str, Any]) -> int:
    """Returns a checksum of a manifest without its seal."""
    return zlib.crc32(json.dumps(manifest, sort_keys=True).encode())


def verify_corpus(directory: str | os.PathLike[str]) -> None:
    """Reads all of a corpus and compares it with its checksums.

    Raises:
        InputError: as `load_corpus`, or a file is not as it was written.
    """
    load_corpus(directory)
    folder = Path(directory)
    manifest = parse_json((folder / MANIFEST).read_text())
    seal, written = manifest.pop("seal", None), manifest.get("crc32", {})
    if seal != _seal(manifest) or list(written) != _FILES:
        raise DamagedCorpus(folder, _NOT_AS_WRITTEN.format(str(folder / MANIFEST)))
    for name in _FILES:
        found = 0
        with (folder / name).open("rb") as file:
            while chunk := file.read(_BYTES_PER_READ):
                found = zlib.crc32(chunk, found)
        if found != written[name]:
            raise DamagedCorpus(folder, _NOT_AS_WRITTEN.format(str(folder / name)))


def _write_arrays(
    pairs: Iterable[tuple[str, str]], tokenizer: "Tokenizer", folder: Path
) -> tuple[dict[str, Any], dict[str, int]]:
    """Writes both sides; returns the counts, and the checksum of each file."""
    num_read = num_same = 0
    sizes = []
    with (
        _SideWriter(folder, "source") as source,
        _SideWriter(folder, "target") as target,
    ):
        for part in getattr(pairs, "corpora", ()) or (pairs,):
            sizes.append(0)
            for chunk in encode_chunks(part, tokenizer):
                source.append(chunk.source)
                target.append(chunk.target)
                sizes[-1] += len(chunk.source.lengths)
                num_read += chunk.num_read
                num_same += chunk.num_same
    counts: dict[str, Any] = {
        "num_pairs": sum(sizes),
        "num_empty": num_read - sum(sizes),
        "num_same": num_same,
        "num_source_tokens": source.num_tokens,
        "num_target_tokens": target.num_tokens,
    }
    if len(sizes) > 1:
        counts["corpus_sizes"] = sizes
    return counts, source.checksums | target.checksums


class _SideWriter:
    """Appends sentences to the two files of one side."""

    def __init__(self, folder: Path, side: str) -> None:
        self.num_tokens = 0
        self._names = [f"{side}_{kind}.bin" for kind in ("tokens", "offsets")]
        self._files: list[BinaryIO] = [(folder / n).open("wb") for n in self._names]
        self.checksums = dict.fromkeys(self._names, 0)
        self._write(1, np.zeros(1, OFFSET_TYPE))

    def append(self, side: EncodedSide) -> None:
        self._write(0, side.tokens)
        self._write(1, self.num_tokens + np.cumsum(side.lengths, dtype=OFFSET_TYPE))
        self.num_tokens += len(side.tokens)

    def _write(self, which: int, array: np.ndarray) -> None:
        contents, name = array.tobytes(), self._names[which]
        self._files[which].write(contents)
        self.checksums[name] = zlib.crc32(contents, self.checksums[name])

    def __enter__(self) -> "_SideWriter":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()


def _map_side(folder: Path, side: str, manifest: dict[str, Any]) -> Sentences:
    """Returns one side, mapped into memory; its files must fit the manifest."""
    expected = {
        "tokens": (TOKEN_TYPES[manifest[f"{side}_dtype"]], f"num_{side}_tokens", 0),
        "offsets": (OFFSET_TYPE, "num_pairs", 1),
    }
    arrays = {}
    for kind, (dtype, count, extra) in expected.items():
        path = folder / f"{side}_{kind}.bin"
        if path.stat().st_size != (manifest[count] + extra) * dtype.itemsize:
            raise DamagedCorpus(
                folder,
                f"{str(path)!r} has {path.stat().st_size} bytes, not the "
                f"{(manifest[count] + extra) * dtype.itemsize} of its manifest",
            )
        arrays[kind] = np.memmap(path, dtype, mode="r")
    return Sentences(arrays["tokens"], arrays["offsets"])
