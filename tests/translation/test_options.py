"""A translator with every option, on real batches, against the plain search."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_search import reference_search
from tiny_runs import reversed_pairs, tiny_config, trained_run

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.devices import sharding
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.devices.own_rows import make_own_rows, own_rows
from transformer_jax.errors import InputError
from transformer_jax.model.transformer import Transformer
from transformer_jax.translation.batch_sizes import BatchSizes
from transformer_jax.translation.continuous_batching import search_all
from transformer_jax.translation.device_search import NewSentences
from transformer_jax.translation.search_programs import programs_of_settings
from transformer_jax.translation.search_requests import Request
from transformer_jax.translation.translator import Translator

EXTRA, WIDTH = 5, 32
SENTENCES = [source for source, _ in reversed_pairs(5, seed=5, longest=6)]


@pytest.fixture(scope="module")
def one_device():
    return make_mesh(MeshConfig(), jax.devices()[:1])


@pytest.fixture(scope="module")
def ensemble(random_params, one_device) -> Translator:
    """Two models that have learnt nothing, of different shapes."""
    first = tiny_config()
    second = tiny_config(model__num_decoder_layers=1, model__d_ff=48)
    models = [
        jax.device_put(
            random_params(config.model), sharding.replicated_sharding(one_device)
        )
        for config in (first, second)
    ]
    return Translator(
        first,
        models[0],
        trained_run().result.translator.tokenizer,
        one_device,
        others=[(second.model, models[1])],
    )


@pytest.fixture(scope="module")
def random(ensemble) -> Translator:
    """The first of them alone."""
    return Translator(
        ensemble.config, ensemble.params, ensemble.tokenizer, ensemble.mesh
    )


@functools.partial(jax.jit, static_argnums=0)
def forward(config, params, source, inputs):
    """Log-probabilities and attention to the source, by teacher forcing."""

    def logits(model):
        segments = (source > 0).astype(jnp.int32)
        hidden = model(source, inputs, source_segments=segments, deterministic=True)
        return model.logits(hidden)

    logits, variables = Transformer(config).apply(
        {"params": params}, method=logits, mutable=["intermediates"]
    )
    weights = variables["intermediates"]["decoder"]["cross_attention"]
    attention = weights["attention_weights"][0][-1, 0].mean(axis=0)
    return jax.nn.log_softmax(logits[0]), attention


def model_of(translator: Translator, source: list[int]):
    """What `reference_search` asks for the next token of one sentence."""
    padded = np.zeros((1, WIDTH), np.int32)
    padded[0, : len(source)] = source

    def model(tokens):
        inputs = np.zeros((1, 48), np.int32)
        inputs[0, : len(tokens) + 1] = [translator.tokenizer.bos_id, *tokens]
        found = [
            jax.device_get(forward(config, params, padded, inputs))
            for config, params in translator.models
        ]
        place = len(tokens)
        probabilities = np.mean([np.exp(p[place], dtype=float) for p, _ in found], 0)
        attention = np.mean([a[place, : len(source)] for _, a in found], axis=0)
        return np.log(probabilities), attention.astype(float)

    return model


OPTIONS = {
    "as configured": {},
    "length": {"length_penalty": "length", "length_penalty_alpha": 1.0},
    "coverage, none": {"coverage_penalty": 0.4, "length_penalty": "none"},
    "first, minimum": {"early_stopping": "first", "min_length": 4},
    "no repetition": {"no_repeat_ngram_size": 2, "beam_size": 2},
    "greedy": {"beam_size": 1, "no_repeat_ngram_size": 1},
}
# What the search itself is tested with already, of which a translator knows nothing.
LONG = "as configured", "length", "greedy"


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(options, marks=[pytest.mark.long] if name in LONG else [])
        for name, options in OPTIONS.items()
    ],
    ids=OPTIONS,
)
def test_hypotheses_are_those_of_the_plain_search(random, options):
    check(random, options, [[]] * len(SENTENCES))


@pytest.mark.slow
def test_an_ensemble_with_prefixes_searches_the_mean_of_probabilities(ensemble):
    prefixes = [[40], [], [41, 42, 43], [], [44, 40]]
    check(ensemble, {"coverage_penalty": 0.2, "beam_size": 3}, prefixes)


def check(translator, options, prefixes):
    settings = dataclasses.replace(
        translator.config.decoding, **{"beam_size": 3, **options}
    )
    encoded = translator.tokenizer.encode_source(SENTENCES)
    requests = [
        Request(source, len(source) + EXTRA, prefix=prefix)
        for source, prefix in zip(encoded, prefixes, strict=True)
    ]
    # Two rows, so that sentences take each other's place.
    settings = dataclasses.replace(settings, batch_tokens=2 * WIDTH)
    n = settings.beam_size
    found = translator.search(requests, n, settings)
    for request, hypotheses in zip(requests, found, strict=True):
        expected = reference_search(
            model_of(translator, request.source),
            settings,
            limit=request.limit,
            eos_id=translator.tokenizer.eos_id,
            prefix=tuple(request.prefix),
        )
        assert [tuple(h.tokens) for h in hypotheses] == [e.tokens for e in expected]
        np.testing.assert_allclose(
            [h.score for h in hypotheses], [e.score for e in expected], rtol=2e-4
        )
        assert [h.is_finished for h in hypotheses] == [e.is_finished for e in expected]


def test_devices_keep_what_one_process_reads_of_a_round(random):
    """Gathered, it would let them wait for each other, and on CPUs even for ever."""
    mesh = make_mesh(MeshConfig(data=2), jax.devices()[:2])
    programs = programs_of_settings(
        [random.config.model], random.config.decoding, mesh,
        num_results=1, bos_id=1, eos_id=2, pad_id=0,
    )  # fmt: skip
    params = jax.device_put((random.params,), sharding.replicated_sharding(mesh))
    one = make_own_rows(np.zeros(2, np.int32), mesh)
    sizes = BatchSizes(rows=1, width=8, slots=4, max_length=8, prefix=0)
    state = programs.start(params, one, sizes)
    queue = NewSentences(np.zeros((2, 9), np.int32), np.zeros((2, 3), np.int32))
    outputs = programs.search(
        programs.weights(params), state, one, make_own_rows(queue, mesh),
        make_own_rows(np.ones((2, 3), np.int32), mesh),
    )  # fmt: skip
    for leaf in jax.tree.leaves(outputs):
        assert leaf.sharding == own_rows(mesh)


def test_each_search_of_a_translator_has_the_dtype_it_asks_for(random):
    source = random.tokenizer.encode_source(SENTENCES[:1])[0]
    scores = [
        random.search(
            [Request(source, 8)], 1, random.config.decoding.replace(compute_dtype=dtype)
        )[0][0].score
        for dtype in ("float32", "bfloat16", "float32")
    ]
    assert scores[0] == scores[2] != scores[1]


@pytest.mark.slow
def test_packed_caches_find_what_growing_ones_find(ensemble):
    """Outputs much longer than the first cache, in rows that take turns."""
    settings = dataclasses.replace(
        ensemble.config.decoding, beam_size=3, min_length=30, coverage_penalty=0.1
    )
    encoded = ensemble.tokenizer.encode_source(SENTENCES)
    requests = [Request(source, 36 + i) for i, source in enumerate(encoded)]
    packing = programs_of_settings(
        [config for config, _ in ensemble.models], settings, ensemble.mesh,
        num_results=3, bos_id=ensemble.tokenizer.bos_id,
        eos_id=ensemble.tokenizer.eos_id, pad_id=ensemble.tokenizer.pad_id,
    )  # fmt: skip
    num_packed = []

    def pack(*arguments):
        num_packed.append(1)
        return packing.pack(*arguments)

    weights = packing.weights(tuple(params for _, params in ensemble.models))
    growing = dataclasses.replace(packing, pack=None, packed_beam=1)
    first, second = (
        search_all(
            programs, weights, requests, ensemble.mesh, batch_tokens=2 * WIDTH,
            extra_length=50, position_limit=None, pad_id=ensemble.tokenizer.pad_id,
        )
        for programs in (dataclasses.replace(packing, pack=pack), growing)
    )  # fmt: skip
    assert len(num_packed) >= 4
    for ours, theirs in zip(first, second, strict=True):
        assert [h.tokens for h in ours] == [h.tokens for h in theirs]
        assert min(len(h.tokens) for h in ours) > 29
        np.testing.assert_allclose(
            [h.score for h in ours], [h.score for h in theirs], rtol=1e-4
        )


@pytest.mark.slow
def test_a_full_batch_of_all_lengths_translates_as_one_sentence_does(one_device):
    trained = trained_run().result.translator
    params = jax.device_put(trained.params, sharding.replicated_sharding(one_device))
    translator = Translator(trained.config, params, trained.tokenizer, one_device)
    sentences = [source for source, _ in reversed_pairs(24, seed=7, longest=44)]
    settings = {"max_source_tokens": 64, "batch_tokens": 4 * 32, "beam_size": 3}
    together = translator.n_best(sentences, 3, **settings)
    order = np.random.default_rng(0).permutation(len(sentences))
    permuted = translator.n_best([sentences[i] for i in order], 3, **settings)
    for place, i in enumerate(order):
        assert_alike(permuted[place], together[i])
    for i in range(0, len(sentences), 6):
        (alone,) = translator.n_best(sentences[i : i + 1], 3, **settings)
        assert_alike(alone, together[i])


def assert_alike(first, second):
    assert [h.text for h in first] == [h.text for h in second]
    np.testing.assert_allclose(
        [h.score for h in first], [h.score for h in second], rtol=1e-4
    )


@pytest.mark.slow
def test_samples_follow_from_the_seed_and_the_sentence_alone(random):
    drawn = random.n_best(SENTENCES, 3, sampling=True, seed=1)
    assert [len(samples) for samples in drawn] == [3] * 5
    again = random.n_best(SENTENCES[::-1], 3, sampling=True, seed=1)[::-1]
    assert [[h.text for h in samples] for samples in again] == [
        [h.text for h in samples] for samples in drawn
    ]
    other = random.n_best(SENTENCES, 3, sampling=True, seed=2)
    texts = [{h.text for h in samples} for samples in (*drawn, *other)]
    assert len(set.union(*texts)) > 25


@pytest.mark.slow
def test_a_translation_begins_as_it_is_forced_to(random):
    prefixes = ["ba be", "", "mo", "", "du du du"]
    found = random.translate(SENTENCES, prefixes=prefixes)
    for text, prefix in zip(found, prefixes, strict=True):
        assert text.startswith(prefix)
    with pytest.raises(InputError, match="1 prefixes for 5 sentences"):
        random.translate(SENTENCES, prefixes=["ba"])
    with pytest.raises(InputError, match="sentence 1 has a prefix of 60 tokens"):
        random.translate(SENTENCES, prefixes=["ba " * 60] * 5)


@pytest.mark.slow
def test_bfloat16_products_change_little(random):
    exact = random.n_best(SENTENCES, 1, max_extra_length=3)
    close = random.n_best(SENTENCES, 1, max_extra_length=3, compute_dtype="bfloat16")
    scores = [[best[0].score for best in found] for found in (exact, close)]
    assert scores[0] != scores[1]
    np.testing.assert_allclose(*scores, rtol=0.05)
