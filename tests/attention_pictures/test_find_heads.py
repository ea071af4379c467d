"""Heads of trained models, found in batches, against one pair at a time."""

import numpy as np
import pytest
from tiny_runs import trained_run
from tiny_treebank import parsing_run

import transformer_jax as tj
from transformer_jax.attention_pictures.find_heads import measure_heads
from transformer_jax.devices.compilations import CompileCounter
from transformer_jax.errors import InputError


@pytest.fixture(scope="module")
def run():
    return trained_run()


@pytest.fixture(scope="module")
def found(run):
    return tj.find_heads(run.workdir, pairs=run.validation_pairs, progress=False)


def heads_of(found, kind):
    """Returns the jobs by name of each head of a kind."""
    return {
        (head.layer, head.head): {job.name: job for job in head.jobs}
        for head in found.heads
        if head.kind == kind
    }


def test_every_head_of_every_attention_is_there(found, run):
    model = run.config.model
    for kind, num_layers in (
        ("encoder", model.num_encoder_layers),
        ("decoder", model.num_decoder_layers),
        ("cross", model.num_decoder_layers),
    ):
        expected = list(np.ndindex(num_layers, model.num_heads))
        assert list(heads_of(found, kind)) == expected
    assert (found.num_pairs, found.num_left_out) == (len(run.validation_pairs), 0)
    for head in found.heads:
        margins = [job.margin for job in head.jobs]
        assert margins == sorted(margins, reverse=True)


@pytest.fixture(scope="module")
def maps(run):
    """The weights of each pair alone."""
    attention = run.result.translator.attention
    return [attention(*pair) for pair in run.validation_pairs]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name", "offset"),
    [
        ("encoder", "next piece", 1),
        ("decoder", "previous piece", -1),
        ("cross", "same position", 0),
    ],
)
def test_batches_with_padding_are_as_one_pair_at_a_time(
    found, maps, kind, name, offset
):
    """Pairs have different lengths: neither padding nor other pairs count."""
    hits, weight, number = 0, 0, 0
    for one in maps:
        weights = getattr(one, kind)
        num_queries, num_keys = weights.shape[2:]
        for query in range(num_queries):
            key = query + offset
            if not 0 <= key < num_keys:
                continue
            hits = hits + (weights[:, :, query].argmax(-1) == key)
            weight = weight + weights[:, :, query, key]
            number += 1
    for (layer, head), jobs in heads_of(found, kind).items():
        job = jobs[name]
        assert job.num_queries == number
        assert job.rate == pytest.approx(hits[layer, head] / number)
        assert job.mean_weight == pytest.approx(weight[layer, head] / number, abs=1e-5)


def test_a_length_is_not_a_program(run):
    translator = run.result.translator
    pairs = run.train_pairs[:100]
    measure_heads(translator, pairs)
    counter = CompileCounter()
    measure_heads(translator, run.train_pairs[100:200])
    counter.close()
    assert counter.count == 0
    assert len({len(source.split()) for source, _ in pairs}) == 7


def test_the_table_has_the_best_first(found):
    lines = str(found).splitlines()
    head, job = found.strongest(1)[0]
    assert lines[1].split()[:3] == [head.kind, str(head.layer), str(head.head)]
    assert job.name in lines[1]
    assert len({len(line) for line in lines}) == 1


def test_pairs_that_training_leaves_out_are_left_out(run):
    pairs = [("ba be", "be ba"), ("ba " * 30, "ba"), ("ba", " "), ("", "ba")]
    found = tj.find_heads(run.workdir, pairs=pairs, progress=False)
    assert (found.num_pairs, found.num_left_out) == (1, 3)
    with pytest.raises(InputError, match=r"none of the 3 pairs .*source_length=24"):
        tj.find_heads(run.workdir, pairs=pairs[1:], progress=False)


def test_sentences_are_taken_at_even_distances(run):
    pairs = run.validation_pairs
    few = tj.find_heads(run.workdir, pairs=pairs, max_pairs=3, progress=False)
    same = tj.find_heads(run.workdir, pairs=pairs[::10], progress=False)
    assert few == same


def test_a_model_s_own_translations(run):
    sentences = [source for source, _ in run.validation_pairs[:4]]
    own = run.result.translator.translate(sentences)
    pairs = list(zip(sentences, own, strict=True))
    assert tj.find_heads(run.workdir, sentences=sentences, progress=False) == (
        tj.find_heads(run.workdir, pairs=pairs, progress=False)
    )


@pytest.mark.slow
def test_a_parser_has_jobs_of_trees():
    parsing = parsing_run()
    found = tj.find_heads(parsing.workdir, progress=False)
    assert found.num_pairs + found.num_left_out == 20
    names = {job.name for head in found.heads for job in head.jobs}
    assert {"matching opening bracket", "word of the next tag"} <= names
    assert "equal word, now written" not in names
    # Each tree has as many closing brackets as opening ones.
    (job,) = [job for job in found.heads[-1].jobs if job.name == "word of the next tag"]
    assert job.num_queries > 100
    own = tj.find_heads(parsing.workdir, sentences=["da na va ."], progress=False)
    assert own.num_pairs == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"split": "dev"}, "split='dev' must be"),
        ({"max_pairs": 0}, "max_pairs=0 must be at least 1"),
        ({"max_pairs": 2.5}, "max_pairs=2.5 must be"),
        ({"pairs": [], "sentences": []}, "exclude each other"),
        ({"pairs": []}, "are empty"),
        ({"sentences": []}, "are empty"),
        ({"sentences": "ba"}, "is one string"),
        ({}, "has no validation data: set data.validation_source_path"),
        ({"checkpoint": 77, "pairs": [("ba", "ba")]}, "77"),
    ],
)
def test_what_cannot_be_measured_is_refused(run, arguments, says):
    with pytest.raises(InputError, match=says):
        tj.find_heads(run.workdir, progress=False, **arguments)
