"""A Marian model in Hugging Face transformers, for the gate of parity."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.errors import InputError
from transformer_jax.interop.optional_packages import explain_missing
from transformer_jax.interop.parity import shift_right
from transformer_jax.interop.parity_sample import pad_rows

EXTRA = "hugging-face"
# What a directory need not have: they follow from what it has.
_DERIVED = ("embed_positions.weight", "final_logits_bias")


def require_transformers() -> tuple[Any, Any]:
    """Returns the packages torch and transformers.

    Raises:
        InputError: one is not installed.
    """
    with explain_missing(EXTRA):
        import torch
        import transformers
    return torch, transformers


class MarianProgram:
    """A directory as `MarianMTModel` and `MarianTokenizer` load it."""

    def __init__(self, directory: Path) -> None:
        """Loads model and tokenizer, in float32 on the CPU.

        Raises:
            InputError: a package is missing, the directory cannot be loaded, or it
                lacks parameters.
        """
        self._torch, transformers = require_transformers()
        self.name = f"transformers {transformers.__version__}"
        try:
            with _quiet():
                self.model, loaded = transformers.MarianMTModel.from_pretrained(
                    directory,
                    dtype=self._torch.float32,
                    local_files_only=True,
                    output_loading_info=True,
                )
                self.tokenizer = transformers.MarianTokenizer.from_pretrained(
                    directory, local_files_only=True
                )
        except Exception as error:  # Of any type, from many libraries.
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"{directory}: transformers cannot load it ({reason:.200})."
            ) from error
        missing = [
            name for name in loaded["missing_keys"] if not name.endswith(_DERIVED)
        ]
        if missing:
            raise InputError(
                f"{directory}: its weights lack {sorted(missing)[0]}, and "
                f"{len(missing) - 1} others."
            )
        self.model.eval()
        self.position_limit = int(self.model.config.max_position_embeddings)
        """Most tokens of a source or an output."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns all parameters by their names."""
        return {
            name: tensor.detach().numpy()
            for name, tensor in self.model.state_dict().items()
        }

    def encode_source(self, sentences: Sequence[str]) -> list[list[int]]:
        """Returns token ids, end of sentence last."""
        ids: list[list[int]] = self.tokenizer(list(sentences)).input_ids
        return ids

    def encode_batch(self, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns source token ids, padded to one length, and which are real."""
        found = self.tokenizer(list(sentences), padding=True, return_tensors="np")
        return np.asarray(found.input_ids), np.asarray(found.attention_mask, bool)

    def encode_target(self, sentences: Sequence[str]) -> list[list[int]]:
        """Returns token ids, end of sentence last."""
        ids: list[list[int]] = self.tokenizer(text_target=list(sentences)).input_ids
        return ids

    def decode_target(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Returns the text of outputs."""
        return [
            self.tokenizer.decode(list(output), skip_special_tokens=True)
            for output in ids
        ]

    def logits(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
    ) -> np.ndarray:
        """Returns the logits of given targets, float32 `[rows, length, vocab]`."""
        config = self.model.config
        source, real = self._rows(sources)
        inputs = shift_right(targets, config.decoder_start_token_id)
        decoder_inputs, _ = self._rows(inputs)
        with self._torch.inference_mode():
            logits: np.ndarray = self.model(
                input_ids=source,
                attention_mask=real,
                decoder_input_ids=decoder_inputs,
            ).logits.numpy()
        return logits

    def search(
        self, sources: Sequence[Sequence[int]], settings: DecodingConfig, limit: int
    ) -> list[list[int]]:
        """Returns the best output of each source, with its end if it has one."""
        source, real = self._rows(sources)
        wanted: Mapping[str, Any] = {
            "do_sample": False,
            "num_beams": settings.beam_size,
            "max_length": None,
            "max_new_tokens": limit,
            # At the greatest length an end would be written that was not found.
            "forced_eos_token_id": None,
            "min_new_tokens": None,
            "no_repeat_ngram_size": None,
            "early_stopping": False if settings.beam_size == 1 else "never",
            "length_penalty": (
                0.0
                if settings.length_penalty == "none"
                else settings.length_penalty_alpha
            ),
        }
        generation = self.model.generation_config
        for name, value in wanted.items():
            setattr(generation, name, value)
        with self._torch.inference_mode(), _quiet():
            rows = self.model.generate(input_ids=source, attention_mask=real)
        eos = self.model.config.eos_token_id
        return [_cut_after(row[1:], eos) for row in rows.tolist()]

    def _rows(self, rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        ids, real = pad_rows(rows, self.model.config.pad_token_id)
        return self._torch.from_numpy(ids), self._torch.from_numpy(real).long()


def _cut_after(tokens: list[int], end: int) -> list[int]:
    return tokens[: tokens.index(end) + 1] if end in tokens else tokens


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the library's advice, which its user did not ask for, off the screen."""
    from transformers.utils import logging as settings

    logger = logging.getLogger("transformers")
    level, has_bars = logger.level, settings.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    settings.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        if has_bars:
            settings.enable_progress_bar()
