"""Sentences in, translations out."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from transformer_jax.checkpoints.manager import Which, checkpoint_dir, load_checkpoint
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.experiment import ExperimentConfig, MeshConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.decoding.search_state import Search
from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.errors import InputError
from transformer_jax.model.positional_encoding import max_position
from transformer_jax.tokenizer.tokenizer import Tokenizer, check_vocabulary
from transformer_jax.translation.attention_maps import attention_weights_of
from transformer_jax.translation.continuous_batching import search_all
from transformer_jax.translation.long_sentences import in_parts
from transformer_jax.translation.programs import Programs, make_programs
from transformer_jax.translation.requests import (
    Hypothesis,
    Request,
    make_requests,
)
from transformer_jax.translation.results import (
    Attention,
    Translation,
    joined,
    make_translations,
)


class Translator:
    """A trained model with its tokenizer, on the devices at hand; or an ensemble.

    Sentences are translated in batches of few sizes, each compiled once for a process;
    the output is in the order of the input.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        params: Any,
        tokenizer: Tokenizer,
        mesh: Mesh | None = None,
        *,
        others: Sequence[tuple[ModelConfig, Any]] = (),
    ) -> None:
        """Takes a model, and the others of an ensemble with the same tokenizer."""
        self.config = config
        self.tokenizer = tokenizer
        self.mesh = make_mesh(config.mesh) if mesh is None else mesh
        self.params = params
        self.models = ((config.model, params), *others)
        """Settings and parameters of each; their probabilities are averaged."""
        for model, _ in self.models:
            check_vocabulary(tokenizer, model)

    @classmethod
    def from_checkpoint(
        cls,
        workdir: str | os.PathLike[str],
        checkpoint: Which = "latest",
        *,
        ensemble: Iterable[tuple[str | os.PathLike[str], Which]] = (),
        mesh: Mesh | None = None,
    ) -> "Translator":
        """Loads one checkpoint: latest, best, average or a step.

        Args:
            workdir: a work directory; or the directory of one checkpoint, which needs
                nothing beside it.
            ensemble: more of them, whose probabilities are averaged with the first's.
            mesh: the devices to use; None = all.

        Raises:
            InputError: no work directory, or no such checkpoint in it; or models that
                do not share a tokenizer.
        """
        params, config, tokenizer = load_checkpoint(checkpoint_dir(workdir, checkpoint))
        # How the devices were arranged in training says nothing about those here.
        config = config.replace(mesh=MeshConfig())
        mesh = make_mesh(config.mesh) if mesh is None else mesh
        everywhere, others = sharding.replicated(mesh), []
        for directory, which in ensemble:
            found = load_checkpoint(checkpoint_dir(directory, which))
            if found[2].digest != tokenizer.digest:
                raise InputError(
                    f"{directory} has another tokenizer than {workdir}: the models of "
                    "an ensemble must be trained with the same."
                )
            others.append((found[1].model, jax.device_put(found[0], everywhere)))
        params = jax.device_put(params, everywhere)
        return cls(config, params, tokenizer, mesh, others=others)

    def translate(
        self,
        sentences: Sequence[str],
        *,
        prefixes: Sequence[str] | None = None,
        **decoding: Any,
    ) -> list[str]:
        """Returns the best translation of each sentence; an empty one stays empty.

        Args:
            prefixes: what the translation of each sentence begins with, "" for free.
            decoding: fields of `DecodingConfig` in place of the configured ones, as
                `beam_size=1` for greedy search.

        Paper: section 6.1.
        """
        found = self.n_best(sentences, 1, prefixes=prefixes, **decoding)
        return [best[0].text for best in found]

    def n_best(
        self,
        sentences: Sequence[str],
        n: int,
        *,
        prefixes: Sequence[str] | None = None,
        **decoding: Any,
    ) -> list[list[Translation]]:
        """Returns up to n translations of each sentence, best first, at least one.

        In sampling n are drawn, whatever the size of the beam. A sentence that is too
        long for the model is translated in parts, or refused, as
        `decoding.too_long` says; the k-th translation of the whole is then made of
        the k-th of each part, and its score the sum of theirs.

        Raises:
            InputError: n is larger than the beam, a sentence is too long and to be
                refused, or there is one string in place of several.
        """
        settings = dataclasses.replace(self.config.decoding, **decoding)
        if settings.sampling:
            settings = dataclasses.replace(settings, beam_size=max(n, 1))
        self._check(sentences, n, prefixes, settings)
        parts = in_parts(
            sentences, self.tokenizer, self._longest_source(settings), settings.too_long
        )
        requests = make_requests(parts, prefixes, self.tokenizer, settings)
        found = self.search(requests, n, settings)
        # An empty sentence has no part.
        results = [[Translation("", 0.0, True, [])] for _ in sentences]
        owned: dict[int, list[list[Translation]]] = {}
        for owner, translations in zip(
            parts.owners, make_translations(found, self.tokenizer), strict=True
        ):
            owned.setdefault(owner, []).append(translations)
        for owner, lists in owned.items():
            results[owner] = lists[0] if len(lists) == 1 else joined(lists)
        return results

    def search(
        self, requests: Sequence[Request], n: int, settings: DecodingConfig
    ) -> list[list[Hypothesis]]:
        """Returns the n best outputs, in tokens, for sources in tokens."""
        return search_all(
            self._programs(n, settings),
            self._whole_params,
            requests,
            self.mesh,
            batch_tokens=settings.batch_tokens
            or (2_048 if self._is_on_cpu else 32_768),
            extra_length=settings.max_extra_length,
            position_limit=self._position_limit,
            pad_id=self.tokenizer.pad_id,
        )

    def attention(self, source: str, target: str) -> Attention:
        """Returns what every head attends to, given a source and its translation.

        Paper: figures 3 to 5.
        """
        source_ids = self.tokenizer.encode_source([source])[0]
        target_ids = self.tokenizer.encode_target([target])[0]
        inputs = [self.tokenizer.bos_id, *target_ids[:-1]]
        return Attention(
            self.tokenizer.source_pieces(source_ids),
            self.tokenizer.target_pieces(inputs),
            *attention_weights_of(self.config.model, self.params, source_ids, inputs),
        )

    @functools.cached_property
    def _whole_params(self) -> tuple[Any, ...]:
        """The parameters of each model, gathered once if devices had parts of them."""
        params = tuple(params for _, params in self.models)
        everywhere = sharding.replicated(self.mesh)
        if jax.process_count() == 1:
            return jax.device_put(params, everywhere)
        return jax.jit(lambda tree: tree, out_shardings=everywhere)(params)

    @property
    def _is_on_cpu(self) -> bool:
        return self.mesh.devices.flat[0].platform == "cpu"

    @property
    def _position_limit(self) -> int | None:
        limits = [max_position(config) for config, _ in self.models]
        return min((limit for limit in limits if limit is not None), default=None)

    def _longest_source(self, settings: DecodingConfig) -> int:
        longest = settings.max_source_tokens or self.config.data.source_length
        return min(longest, self._position_limit or longest)

    def _check(
        self,
        sentences: Sequence[str],
        n: int,
        prefixes: Sequence[str] | None,
        settings: DecodingConfig,
    ) -> None:
        if isinstance(sentences, str):
            raise InputError(
                f"sentences={sentences!r:.40} is one string: give a list of sentences."
            )
        if not 1 <= n <= settings.beam_size:
            raise InputError(
                f"n_best={n} must be between 1 and beam_size={settings.beam_size}: "
                "the beam holds no more hypotheses."
            )
        if prefixes is not None and len(prefixes) != len(sentences):
            raise InputError(
                f"{len(prefixes)} prefixes for {len(sentences)} sentences: give one "
                'for each, "" where there is none.'
            )

    def _programs(self, n: int, settings: DecodingConfig) -> Programs:
        models, weight_dtypes = [], []
        for config, _ in self.models:
            dtype = settings.compute_dtype or config.compute_dtype
            weight_dtypes.append(dtype)
            # CPUs are slow in all that is bfloat16 but large products.
            dtype = "float32" if self._is_on_cpu else dtype
            models.append(dataclasses.replace(config, compute_dtype=dtype))
        # Programs do not depend on these.
        settings = dataclasses.replace(
            settings,
            max_extra_length=1,
            batch_tokens=None,
            max_source_tokens=None,
            too_long="split",
            compute_dtype=None,
            seed=0,
        )
        search = Search(
            settings=settings,
            eos_id=self.tokenizer.eos_id,
            pad_id=self.tokenizer.pad_id,
            num_results=n,
        )
        return make_programs(
            tuple(models),
            tuple(weight_dtypes),
            search,
            self.tokenizer.bos_id,
            self.mesh,
        )
