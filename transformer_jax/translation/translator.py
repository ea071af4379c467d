"""The translator: a trained model, its tokenizer and the search, ready to use."""

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Unpack

from jax.sharding import Mesh

from transformer_jax.checkpoints.choosing import Which, load_chosen
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.decoding_keywords import (
    DecodingSettings,
    refuse_misspelt_keywords,
)
from transformer_jax.config.experiment import ExperimentConfig, MeshConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.decoding.bracket_grammar import BracketGrammar
from transformer_jax.devices import sharding
from transformer_jax.devices.capacity import check_search_fits, search_batch_tokens
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.errors import InputError
from transformer_jax.model.params import Params
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.translation.arguments import (
    check_arguments,
    check_member,
    check_model,
    check_pair,
)
from transformer_jax.translation.attention_maps import AttentionMaps, maps_of_parts
from transformer_jax.translation.continuous_batching import search_all
from transformer_jax.translation.long_pairs import (
    PairLimits,
    limits_of_pairs,
    split_long_pairs,
)
from transformer_jax.translation.long_sentences import split_long_sentences
from transformer_jax.translation.position_limit import position_limit
from transformer_jax.translation.results import Translation, make_translations
from transformer_jax.translation.search_programs import (
    SearchPrograms,
    programs_of_settings,
)
from transformer_jax.translation.search_requests import (
    Hypothesis,
    Request,
    make_requests,
)
from transformer_jax.translation.search_weights import KeptWeights


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
            tokenizer: the one the model was trained with.
            mesh: the devices to use. None = as `config.mesh` says.
            others: settings and parameters of further models of an ensemble, trained
                with the same tokenizer.

        Raises:
            InputError: the tokenizer's vocabulary is not the model's, or the parameters
                are not. Another tokenizer of the same size is not noticed.
        """
        self.config = config
        self.tokenizer = tokenizer
        self.mesh = make_mesh(config.mesh) if mesh is None else mesh
        self.params = params
        self.models = ((config.model, params), *others)
        """Settings and parameters of each model; their probabilities are averaged."""
        for model, weights in self.models:
            check_model(model, weights, tokenizer)

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
        params, config, tokenizer = load_chosen(workdir, checkpoint)
        # The mesh of the training run need not fit the devices of this machine.
        config = config.replace(mesh=MeshConfig())
        mesh = make_mesh(config.mesh) if mesh is None else mesh
        everywhere, others = sharding.replicated_sharding(mesh), []
        for directory, which in map(check_member, ensemble):
            other_params, other_config, other_tokenizer = load_chosen(directory, which)
            if other_tokenizer.digest != tokenizer.digest:
                raise InputError(
                    f"{directory} has another tokenizer than {workdir}: the models of "
                    "an ensemble must be trained with the same."
                )
            other_params = sharding.place(other_params, everywhere)
            others.append((other_config.model, other_params))
        params = sharding.place(params, everywhere)
        return cls(config, params, tokenizer, mesh, others=others)

    @refuse_misspelt_keywords
    def translate(
        self,
        sentences: Iterable[str],
        *,
        prefixes: Iterable[str] | None = None,
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
        sentences: Iterable[str],
        n: int,
        *,
        prefixes: Iterable[str] | None = None,
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
            prefixes, decoding: as in `translate`.
            on_done: called with the number of sentences done so far, after each one.

        Raises:
            InputError: as `translate`; or n is less than 1 or larger than the beam.

        Example:
            >>> translator = tj.Translator.from_checkpoint(workdir)
            >>> best, *others = translator.n_best(["A house."], 2)[0]
            >>> all(other.score <= best.score for other in others)
            True
        """
        settings = self.config.decoding.replace(**decoding)
        texts, firsts = check_arguments(sentences, n, prefixes, self.config, settings)
        if settings.sampling:
            settings = settings.replace(beam_size=n)
        limit, _, positions, tags = self.pair_limits(settings)
        parts = split_long_sentences(
            texts, self.tokenizer, limit, settings.too_long, positions, tags
        )
        requests = make_requests(parts, firsts, self.tokenizer, settings)
        counter = None if on_done is None else parts.sentence_counter(on_done)
        hypotheses = self.search(requests, n, settings, counter)
        return make_translations(hypotheses, parts, len(texts), self.tokenizer)

    def search(
        self,
        requests: Sequence[Request],
        n: int,
        settings: DecodingConfig,
        on_result: Callable[[int], None] | None = None,
        grammar: BracketGrammar | None = None,
    ) -> list[list[Hypothesis]]:
        """Returns the n-best list of each request, as token ids.

        It calls `on_result` with the index of each request when its search is done.
        With a grammar outputs are trees with the leaves that the requests say.

        Raises:
            InputError: a beam is too large for a device.
        """
        check_search_fits(settings, self.config.model, self.mesh)
        programs = self._programs(n, settings, grammar)
        return search_all(
            programs,
            self._weights.made_by(programs.weights),
            requests,
            self.mesh,
            batch_tokens=search_batch_tokens(settings, self.config.model, self.mesh),
            extra_length=settings.max_extra_length,
            position_limit=self.position_limit,
            pad_id=self.tokenizer.pad_id,
            on_result=on_result,
        )

    def attention(self, source: str, target: str) -> AttentionMaps:
        """Returns the attention weights of every head for a source and its translation.

        Float32 `[layers, heads, query, key]`; of an ensemble, those of the first model.
        Between the parts of a pair that is too long (see `tj.score`) the weights are 0.

        Example:
            >>> translator = tj.Translator.from_checkpoint(workdir)
            >>> maps = translator.attention("A house.", "Ein Haus.")
            >>> len(maps.source_pieces) == maps.cross.shape[3]
            True

        Paper: figures 3 to 5.
        """
        check_pair(source, target)
        limits = self.pair_limits(self.config.decoding), self.config.decoding.too_long
        parts = split_long_pairs([source], [target], self.tokenizer, *limits)
        return maps_of_parts(self.config.model, self.params, self.tokenizer, parts)

    @functools.cached_property
    def _weights(self) -> KeptWeights:
        """Of parameters gathered once where they were sharded."""
        params = tuple(params for _, params in self.models)
        everywhere = sharding.replicated_sharding(self.mesh)
        return KeptWeights(sharding.place(params, everywhere))

    @property
    def position_limit(self) -> int | None:
        """Most tokens that all models have positions for; None = any number."""
        return position_limit(config for config, _ in self.models)

    def pair_limits(self, settings: DecodingConfig) -> PairLimits:
        """Returns the tokens of what search translates whole, and of what it writes."""
        return limits_of_pairs(settings, self.config.data, self.position_limit)

    def _programs(
        self, n: int, settings: DecodingConfig, grammar: BracketGrammar | None
    ) -> SearchPrograms:
        return programs_of_settings(
            [config for config, _ in self.models],
            settings,
            self.mesh,
            num_results=n,
            bos_id=self.tokenizer.bos_id,
            eos_id=self.tokenizer.eos_id,
            pad_id=self.tokenizer.pad_id,
            grammar=grammar,
        )
