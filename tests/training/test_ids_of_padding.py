"""No id stands for padding: there no token counts, whatever id stands there."""

import dataclasses

import jax
import numpy as np
import pytest
import sentencepiece
from own_vocabularies import own_vocabulary, size_of
from tiny_runs import one_layer_config, reversed_pairs

from transformer_jax.data.pipeline import make_batches, pack_corpus
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.devices.sharding import make_global
from transformer_jax.evaluation.corpus_loss import encode_corpus
from transformer_jax.scoring.scores import score_tokens
from transformer_jax.tokenizer.tokenizer import Tokenizer
from transformer_jax.training.state import init_state
from transformer_jax.training.step import make_train_step
from transformer_jax.translation.translator import Translator

pytestmark = pytest.mark.slow


def model_of(ids):
    """Settings and tokenizer of a vocabulary with ids of its own."""
    vocabulary = own_vocabulary(ids)
    config = one_layer_config(model__vocab_size=size_of(vocabulary))
    return config, Tokenizer(vocabulary, vocabulary)


def test_an_update_is_the_same_with_any_id():
    config, tokenizer = model_of("default")
    corpus = encode_corpus(*zip(*reversed_pairs(30), strict=True), tokenizer)
    packed = pack_corpus(corpus, config.data, seed=0)
    mesh = make_mesh(config.mesh)
    step, found = make_train_step(config, mesh), []
    for pad in (corpus.pad_id, 0, 1, 9):
        other = dataclasses.replace(corpus, pad_id=pad)
        batch = next(make_batches(other, packed, config.data, seed=0))
        padding = batch.target_segments == 0
        assert padding.any()
        assert (batch.target_inputs[padding] == pad).all()
        state, metrics = step(init_state(config, mesh), make_global(batch, mesh))
        found.append(jax.device_get((state.params, metrics)))
    for other in found[1:]:
        jax.tree.map(np.testing.assert_array_equal, found[0], other)


@pytest.mark.parametrize("ids", ["default", "marian"])
def test_search_and_scoring_agree_whatever_the_ids_are(ids):
    """Sentences of other lengths stand beside each other, alone, and in one row."""
    config, tokenizer = model_of(ids)
    params = init_state(config, make_mesh(config.mesh)).params
    translator = Translator(config, params, tokenizer)
    sources = [source for source, _ in reversed_pairs(5, seed=3)]
    found = translator.n_best(sources, 2)
    alone = [translator.n_best([source], 2)[0] for source in sources[:2]]
    for one, other in zip(alone, found[:2], strict=True):
        assert [each.text for each in one] == [each.text for each in other]
    ids_of = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.target_model)
    sides = [
        (source, ids_of.piece_to_id(each.pieces))
        for source, several in zip(tokenizer.encode_source(sources), found, strict=True)
        for each in several
    ]
    scores = score_tokens(translator, *zip(*sides, strict=True))
    expected = [each.score for several in found for each in several]
    np.testing.assert_allclose([s.score for s in scores], expected, rtol=1e-4)
