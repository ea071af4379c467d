"""Every sentence has its own translation, whatever it is translated together with."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import reversed_pairs, tiny_config, trained_run

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.devices import sharding
from transformer_jax.devices.compilations import CompileCounter
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.errors import InputError
from transformer_jax.model.transformer import Transformer
from transformer_jax.translation.search_requests import Request
from transformer_jax.translation.translator import Translator

# Of one to 20 words, so that they need batches of two widths, in no order.
SENTENCES = [source for source, _ in reversed_pairs(20, seed=3, longest=20)]
SHORT = [sentence for sentence in SENTENCES if len(sentence.split()) < 12]


@pytest.fixture(scope="module")
def trained() -> Translator:
    return trained_run().result.translator


@pytest.fixture(scope="module")
def random(trained, random_params) -> Translator:
    """A model that has learnt nothing, least of all when to end."""
    config = trained.config
    return Translator(config, random_params(config.model), trained.tokenizer)


@pytest.fixture(scope="module")
def log_probs(random):
    """`(params, source, inputs) -> log-probabilities` by teacher forcing."""
    model = Transformer(random.config.model)

    @jax.jit
    def run(params, source, inputs):
        def logits(model):
            segments = (source > 0).astype(jnp.int32)
            hidden = model(source, inputs, source_segments=segments, deterministic=True)
            return model.logits(hidden)

        return jax.nn.log_softmax(model.apply({"params": params}, method=logits))

    def on_one_device(params, *tokens):
        return np.asarray(run(*jax.device_get((params, *tokens))))

    return on_one_device


def requests(translator: Translator, sentences, extra_length: int = 50) -> list:
    encoded = translator.tokenizer.encode_source(sentences)
    return [Request(source, len(source) + extra_length) for source in encoded]


def test_a_sentence_is_translated_alike_alone_and_among_others(trained):
    together = trained.translate(SENTENCES)
    assert together == [trained.translate([s])[0] for s in SENTENCES]
    assert len(set(together)) > 5, "different sentences, or order would not matter"
    assert trained.translate(SENTENCES[::-1]) == together[::-1]


def test_of_many_sentences_the_short_ones_are_in_narrower_rows(trained):
    """With rows for 32 tokens, 4 sentences for each device are many."""
    many = SHORT[:4] * jax.device_count()
    assert trained.translate(many, batch_tokens=32) == (
        trained.translate(SHORT[:4]) * jax.device_count()
    )


def test_translations_do_not_depend_on_the_devices(trained):
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    params = jax.device_put(trained.params, sharding.replicated_sharding(mesh))
    one = Translator(trained.config, params, trained.tokenizer, mesh)
    assert one.translate(SHORT[:6]) == trained.translate(SHORT[:6])


def test_few_programs_serve_all_lengths(trained):
    sentences = [" ".join(["ba"] * number) for number in range(1, 24)]
    trained.translate(sentences[:1])
    counter = CompileCounter()
    try:
        trained.translate(sentences)
        assert counter.count <= 5  # start, encode, admit, advance, more room
        counter.count = 0
        trained.translate(sentences[:1:-1])
        assert counter.count == 0
    finally:
        counter.close()


def test_what_has_no_words_has_an_empty_translation(trained):
    sentences = ["", SENTENCES[0], " \t ", "\u00a0"]
    alone = trained.translate(SENTENCES[:1])[0]
    assert trained.translate(sentences) == ["", alone, "", ""]
    lists = trained.n_best(sentences, 3)
    assert [len(hypotheses) for hypotheses in lists] == [1, 3, 1, 1]
    assert (lists[0][0].text, lists[0][0].is_finished) == ("", True)
    assert trained.translate([]) == []


@pytest.mark.smoke
def test_the_n_best_are_in_order_and_begin_with_the_translation(trained):
    lists = trained.n_best(SENTENCES, 4)
    assert [best[0].text for best in lists] == trained.translate(SENTENCES)
    for hypotheses in lists:
        # Those that ended come first, and each kind is sorted.
        keys = [(not h.is_finished, -h.score) for h in hypotheses]
        assert keys == sorted(keys)
        assert len({h.score for h in hypotheses}) == 4
    assert sum(h.is_finished for hypotheses in lists for h in hypotheses) > 10
    # The same four, in a shorter list.
    for two, four in zip(trained.n_best(SENTENCES[:3], 2), lists, strict=False):
        assert [h.text for h in two] == [h.text for h in four[:2]]
        np.testing.assert_allclose(
            [h.score for h in two], [h.score for h in four[:2]], rtol=1e-5
        )


@pytest.mark.parametrize("n", [0, 5])
def test_no_more_hypotheses_than_the_beam_holds(trained, n):
    message = rf"^n={n} must be at (least 1\.|most beam_size=)"
    with pytest.raises(InputError, match=message):
        trained.n_best(["ba"], n)


def test_one_string_is_not_a_list_of_letters(trained):
    with pytest.raises(InputError, match="sentences='ba be' is one string"):
        trained.translate("ba be")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["trained", "random"])
def test_a_score_is_what_the_model_gives_the_tokens(name, log_probs, random, trained):
    """Log-probability over ((5 + length) / 6)^0.6, by teacher forcing."""
    chosen = {"trained": trained, "random": random}[name]
    model = Translator(random.config, chosen.params, random.tokenizer, random.mesh)
    asked = requests(model, SHORT[:4])
    found = model.search(asked, 4, model.config.decoding)
    pairs = [
        (request.source, hypothesis)
        for request, hypotheses in zip(asked, found, strict=True)
        for hypothesis in hypotheses
    ]
    assert len(pairs) == 16
    source, inputs = np.zeros((16, 32), np.int32), np.zeros((16, 66), np.int32)
    for row, (tokens, hypothesis) in enumerate(pairs):
        read = [model.tokenizer.bos_id, *hypothesis.tokens[:-1]]
        source[row, : len(tokens)], inputs[row, : len(read)] = tokens, read
    each = log_probs(model.params, source, inputs)
    for row, (_, hypothesis) in enumerate(pairs):
        length = len(hypothesis.tokens)
        total = each[row, np.arange(length), hypothesis.tokens].sum()
        np.testing.assert_allclose(
            hypothesis.score, total / ((5 + length) / 6) ** 0.6, rtol=1e-4
        )


@pytest.mark.slow
def test_a_beam_of_one_takes_the_most_probable_token(log_probs, random):
    settings = dataclasses.replace(random.config.decoding, beam_size=1)
    asked = requests(random, SHORT[:3])
    found = random.search(asked, 1, settings)
    source, inputs = np.zeros((16, 32), np.int32), np.zeros((16, 66), np.int32)
    inputs[:, 0] = random.tokenizer.bos_id
    for row, request in enumerate(asked):
        source[row, : len(request.source)] = request.source
    for position in range(65):
        best = log_probs(random.params, source, inputs)[:, position].argmax(axis=-1)
        inputs[:, position + 1] = best
    for row, (hypothesis,) in enumerate(found):
        tokens = hypothesis.tokens[:65]
        np.testing.assert_array_equal(tokens, inputs[row, 1 : len(tokens) + 1])


def test_an_output_has_at_most_fifty_tokens_more_than_its_source(random):
    asked = requests(random, SHORT[:6])
    found = random.search(asked, 4, random.config.decoding)
    unfinished = 0
    for request, hypotheses in zip(asked, found, strict=True):
        for hypothesis in hypotheses:
            assert len(hypothesis.tokens) <= len(request.source) + 50
            if not hypothesis.is_finished:
                assert len(hypothesis.tokens) == len(request.source) + 50
                unfinished += 1
    assert unfinished


def test_each_sentence_is_counted_when_it_is_done(trained):
    sentences = [*SENTENCES, "", " ".join(["ba"] * 60)]
    counts = []
    n_best = trained.n_best(sentences, 1, on_done=counts.append)
    assert counts == list(range(1, len(sentences)))  # The empty one needs no search.
    assert [best[0].text for best in n_best] == trained.translate(sentences)


@pytest.mark.slow
def test_a_sentence_longer_than_those_of_training_is_translated_in_parts(trained):
    words = SENTENCES[0].split()
    long = " ".join((words * 200)[:100])
    assert len(trained.tokenizer.encode_source([long])[0]) > 100
    (hypothesis,) = trained.n_best([long], 1, beam_size=1)[0]
    assert np.isfinite(hypothesis.score)
    # Whole, if it is asked for.
    whole = trained.n_best([long], 1, beam_size=1, max_source_tokens=200)[0][0]
    assert whole.text != hypothesis.text
    with pytest.raises(
        InputError, match=r"sentence 2 has 1\d\d tokens, more than .*=24"
    ):
        trained.translate(["ba", long], too_long="refuse", max_source_tokens=24)


def test_learned_positions_are_used_to_the_last_and_not_beyond(random_params, trained):
    config = tiny_config(model__positions="learned", model__max_length=40)
    translator = Translator(config, random_params(config.model), trained.tokenizer)
    # 39 words and the end: a batch is 48 wide elsewhere.
    fits = " ".join(["ba"] * 39)
    assert len(trained.tokenizer.encode_source([fits])[0]) == 40
    (hypothesis,) = translator.n_best([fits], 1, max_source_tokens=99)[0]
    assert np.isfinite(hypothesis.score)
    with pytest.raises(InputError, match=r"2 has 41 tokens, .*=40") as caught:
        translator.translate(
            ["ba", f"{fits} ba"], max_source_tokens=99, too_long="refuse"
        )
    assert "\n" not in str(caught.value)


def test_a_model_without_numbers_says_nothing(random):
    params = jax.tree.map(lambda x: np.full_like(x, np.nan), random.params)
    broken = Translator(random.config, params, random.tokenizer)
    (hypothesis,) = broken.n_best(["ba"], 1)[0]
    assert (hypothesis.text, hypothesis.is_finished) == ("", False)


def test_attention_weights_are_those_of_the_pieces_read(trained):
    found = trained.attention("ba be bi", "bi be")
    sizes = {"source": len(found.source_pieces), "target": len(found.target_pieces)}
    assert found.source_pieces[-1] == "</s>"
    assert found.target_pieces[0] == "<s>"
    assert found.encoder.shape == (2, 4, sizes["source"], sizes["source"])
    assert found.cross.shape == (2, 4, sizes["target"], sizes["source"])
    for weights in (found.encoder, found.decoder, found.cross):
        np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=1e-5)
    assert (np.triu(found.decoder, 1) == 0).all(), "the decoder looks back only"


def test_a_tokenizer_of_another_model_is_refused(trained):
    config = tiny_config(model__vocab_size=299)
    with pytest.raises(InputError, match=r"model\.vocab_size=299 does not fit"):
        Translator(config, trained.params, trained.tokenizer)


@pytest.mark.parametrize("n", [2.0, None, "2", True])
def test_a_number_of_translations_is_an_integer(trained, n):
    with pytest.raises(InputError, match=f"n={n!r} must be an integer"):
        trained.n_best(["ba"], n)
