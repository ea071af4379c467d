"""The translator: a trained model, its tokenizer and the search, ready to use."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Unpack

import jax
from jax.sharding import Mesh

from transformer_jax.checkpoints.manager import Which, checkpoint_dir, load_checkpoint
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.decoding_keywords import (
    DecodingSettings,
    refuse_misspelt_keywords,
)
from transformer_jax.config.experiment import ExperimentConfig, MeshConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.decoding.search_state import Search
from transformer_jax.devices import sharding
from transformer_jax.devices.defaults import decoding_batch_tokens, decoding_dtypes
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.errors import InputError
from transformer_jax.model.params import Params
from transformer_jax.tokenizer.tokenizer import Tokenizer, check_vocabulary
from transformer_jax.translation.arguments import check_arguments
from transformer_jax.translation.attention_maps import AttentionMaps, attention_weights
from transformer_jax.translation.continuous_batching import search_all
from transformer_jax.translation.long_sentences import split_long_sentences
from transformer_jax.translation.position_limit import position_limit
from transformer_jax.translation.results import Translation, make_translations
from transformer_jax.translation.search_programs import (
    SearchPrograms,
    make_search_programs,
)
from transformer_jax.translation.search_requests import (
    Hypothesis,
    Request,
    make_requests,
)


class Translator:
    """A trained model or an ensemble, with its tokenizer, on this machine's devices.

    Sentences are translated in batches of few array sizes, each compiled once in a
    process. The output is in the order of the input.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        params: Params,
        tokenizer: Tokenizer,
        mesh: Mesh | None = None,
        *,
        others: Sequence[tuple[ModelConfig, Params]] = (),
    ) -> None:
        """Makes a translator of parameters in memory.

        Args:
            config: settings of the run; `config.decoding` are translation's defaults.
            params: the trained parameters.
            tokenizer: the one the model was trained with.
            mesh: the devices to use. None = as `config.mesh` says.
            others: settings and parameters of further models of an ensemble, trained
                with the same tokenizer.

        Raises:
            InputError: the tokenizer's vocabulary is not the model's.
        """
        self.config = config
        self.tokenizer = tokenizer
        self.mesh = make_mesh(config.mesh) if mesh is None else mesh
        self.params = params
        self.models = ((config.model, params), *others)
        """Settings and parameters of each model; their probabilities are averaged."""
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
        """Loads a checkpoint, or several as an ensemble.

        Args:
            workdir: a work directory, or the directory of one checkpoint, which holds
                everything that is needed.
            checkpoint: "latest", "best", "average" or a step.
            ensemble: work directory and checkpoint of each further model. The models'
                probabilities are averaged.
            mesh: the devices to use. None = all.

        Raises:
            InputError: there is no work directory or no such checkpoint, or the models
                do not share a tokenizer.

        Example:
            >>> others = [(workdir, "latest")]
            >>> len(tj.Translator.from_checkpoint(workdir, ensemble=others).models)
            2
        """
        params, config, tokenizer = load_checkpoint(checkpoint_dir(workdir, checkpoint))
        # The mesh of the training run need not fit the devices of this machine.
        config = config.replace(mesh=MeshConfig())
        mesh = make_mesh(config.mesh) if mesh is None else mesh
        everywhere, others = sharding.replicated_sharding(mesh), []
        for directory, which in ensemble:
            other_params, other_config, other_tokenizer = load_checkpoint(
                checkpoint_dir(directory, which)
            )
            if other_tokenizer.digest != tokenizer.digest:
                raise InputError(
                    f"{directory} has another tokenizer than {workdir}: the models of "
                    "an ensemble must be trained with the same."
                )
            other_params = jax.device_put(other_params, everywhere)
            others.append((other_config.model, other_params))
        params = jax.device_put(params, everywhere)
        return cls(config, params, tokenizer, mesh, others=others)

    @refuse_misspelt_keywords
    def translate(
        self,
        sentences: Sequence[str],
        *,
        prefixes: Sequence[str] | None = None,
        **decoding: Unpack[DecodingSettings],
    ) -> list[str]:
        """Returns the best translation of each sentence; an empty one stays empty.

        Args:
            prefixes: for each sentence the beginning of its translation; "" = none.
            decoding: fields of `DecodingConfig` that replace the configured ones, such
                as `beam_size=1` for greedy search.

        Raises:
            InputError: `sentences` is one string, a decoding setting is unknown or
                refused, there is not one prefix for each sentence, a prefix is as long
                as the output may be, or a sentence is too long and
                `too_long="refuse"`.

        Example:
            >>> translator = tj.Translator.from_checkpoint(workdir)
            >>> translator.translate([""], beam_size=1)
            ['']

        Paper: section 6.1.
        """
        n_best = self.n_best(sentences, 1, prefixes=prefixes, **decoding)
        return [best[0].text for best in n_best]

    @refuse_misspelt_keywords
    def n_best(
        self,
        sentences: Sequence[str],
        n: int,
        *,
        prefixes: Sequence[str] | None = None,
        on_done: Callable[[int], None] | None = None,
        **decoding: Unpack[DecodingSettings],
    ) -> list[list[Translation]]:
        """Returns up to n translations of each sentence, best first, at least one.

        With `sampling=True` n translations are drawn; `beam_size` is then ignored. A
        sentence longer than `max_source_tokens` is split into parts, unless
        `too_long="refuse"`; its k-th translation joins the k-th of each part, and its
        score is the sum of theirs.

        Args:
            n: translations of each sentence, at most `beam_size` in a search.
            prefixes: as in `translate`.
            on_done: called with the number of sentences done so far, after each one.
            decoding: as in `translate`.

        Raises:
            InputError: as `translate`; or n is less than 1 or larger than the beam.

        Example:
            >>> translator = tj.Translator.from_checkpoint(workdir)
            >>> best, *others = translator.n_best(["A house."], 2)[0]
            >>> all(other.score <= best.score for other in others)
            True
        """
        settings = self.config.decoding.replace(**decoding)
        if settings.sampling:
            settings = dataclasses.replace(settings, beam_size=max(n, 1))
        check_arguments(sentences, n, prefixes, settings)
        parts = split_long_sentences(
            sentences, self.tokenizer, self._longest_source(settings), settings.too_long
        )
        requests = make_requests(parts, prefixes, self.tokenizer, settings)
        counter = None if on_done is None else parts.sentence_counter(on_done)
        hypotheses = self.search(requests, n, settings, counter)
        return make_translations(
            hypotheses, parts.owners, len(sentences), self.tokenizer
        )

    def search(
        self,
        requests: Sequence[Request],
        n: int,
        settings: DecodingConfig,
        on_result: Callable[[int], None] | None = None,
    ) -> list[list[Hypothesis]]:
        """Returns the n-best list of each request, as token ids.

        It calls `on_result` with the index of each request when its search is done.
        """
        return search_all(
            self._programs(n, settings),
            self._whole_params,
            requests,
            self.mesh,
            batch_tokens=decoding_batch_tokens(settings, self.mesh),
            extra_length=settings.max_extra_length,
            position_limit=self.position_limit,
            pad_id=self.tokenizer.pad_id,
            on_result=on_result,
        )

    def attention(self, source: str, target: str) -> AttentionMaps:
        """Returns the attention weights of every head for a source and its translation.

        Float32 `[layers, heads, query, key]`; of an ensemble, those of the first model.

        Example:
            >>> translator = tj.Translator.from_checkpoint(workdir)
            >>> maps = translator.attention("A house.", "Ein Haus.")
            >>> len(maps.source_pieces) == maps.cross.shape[3]
            True

        Paper: figures 3 to 5.
        """
        source_ids = self.tokenizer.encode_source([source])[0]
        target_ids = self.tokenizer.encode_target([target])[0]
        inputs = [self.tokenizer.bos_id, *target_ids[:-1]]
        return AttentionMaps(
            self.tokenizer.source_pieces(source_ids),
            self.tokenizer.target_pieces(inputs),
            *attention_weights(self.config.model, self.params, source_ids, inputs),
        )

    @functools.cached_property
    def _whole_params(self) -> tuple[Params, ...]:
        """Parameters of each model, gathered once where they were sharded."""
        params = tuple(params for _, params in self.models)
        everywhere = sharding.replicated_sharding(self.mesh)
        if jax.process_count() == 1:
            whole: tuple[Params, ...] = jax.device_put(params, everywhere)
        else:
            whole = jax.jit(lambda tree: tree, out_shardings=everywhere)(params)
        return whole

    @property
    def position_limit(self) -> int | None:
        """Most tokens that all models have positions for; None = any number."""
        return position_limit(config for config, _ in self.models)

    def _longest_source(self, settings: DecodingConfig) -> int:
        longest = settings.max_source_tokens or self.config.data.source_length
        return min(longest, self.position_limit or longest)

    def _programs(self, n: int, settings: DecodingConfig) -> SearchPrograms:
        models, weight_dtypes = [], []
        for config, _ in self.models:
            weight_dtype, dtype = decoding_dtypes(config, settings, self.mesh)
            weight_dtypes.append(weight_dtype)
            models.append(dataclasses.replace(config, compute_dtype=dtype))
        # Programs do not depend on these settings: equal values share a program.
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
        return make_search_programs(
            tuple(models),
            tuple(weight_dtypes),
            search,
            self.tokenizer.bos_id,
            self.mesh,
        )
