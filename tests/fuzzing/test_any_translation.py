"""Lines of any kind are translated one by one, in order, whatever the model writes.

The model has learnt nothing: it writes any tokens, ends of lines among them.
"""

import functools
import json

import jax
import pytest
from any_text import (
    broken_texts,
    is_one_line,
    lines,
    odd_bytes,
    outcome,
    texts,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from test_any_lines import lines_by_python
from tiny_runs import VOCAB_SIZE, one_layer_config, reversed_pairs

from transformer_jax.config.experiment import MeshConfig
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.errors import InputError
from transformer_jax.file_translation.translate import translate_file
from transformer_jax.tokenizer.tokenizer import train_tokenizer
from transformer_jax.translation.translator import Translator

# Each of them is compiled once.
DECODING = {
    "greedy": {"beam_size": 1, "max_extra_length": 2},
    "beam": {"beam_size": 2, "min_length": 3, "no_repeat_ngram_size": 1},
    "sampling": {"sampling": True, "temperature": 2.0, "top_p": 0.9},
}
EVERYWHERE = {"max_source_tokens": 32, "batch_tokens": 64}


@functools.cache
def make_translator(random_params):
    config = one_layer_config(decoding__max_extra_length=4)
    tokenizer = train_tokenizer(reversed_pairs(200), config.tokenizer, config.model)
    assert tokenizer.source_vocab_size == VOCAB_SIZE
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    return Translator(config, random_params(config.model), tokenizer, mesh)


@pytest.fixture
def translator(random_params):
    return make_translator(random_params)


@pytest.mark.parametrize("way", ["beam", "sampling"])
@settings(max_examples=examples(5))
@given(st.lists(texts, max_size=5))
def test_each_sentence_is_translated_as_alone(translator, way, sentences):
    options = {**DECODING[way], **EVERYWHERE}
    together = translator.translate(sentences, **options)
    assert together == [translator.translate([s], **options)[0] for s in sentences]
    assert translator.translate(sentences[::-1], **options) == together[::-1]
    for sentence, translation in zip(sentences, together, strict=True):
        translation.encode()
        if not sentence.replace("\u2581", " ").strip():
            assert translation == ""


@settings(max_examples=examples(8))
@given(st.lists(st.tuples(texts, texts | st.just("")), max_size=4))
def test_any_prefix_is_what_the_translation_begins_with(translator, pairs):
    sources, prefixes = [s for s, _ in pairs], [p for _, p in pairs]
    options = {**DECODING["greedy"], **EVERYWHERE}
    found = outcome(translator.translate, sources, prefixes=prefixes, **options)
    if isinstance(found, InputError):
        assert "has a prefix of" in str(found)
        return
    for source, prefix, translation in zip(sources, prefixes, found, strict=True):
        if source.replace("\u2581", " ").strip():
            start = " ".join(prefix.replace("\u2581", " ").split())
            assert translation.startswith(start)


@settings(max_examples=examples(12))
@given(st.lists(texts, max_size=2), broken_texts, st.booleans())
def test_what_is_not_unicode_is_refused(translator, before, broken, as_prefix):
    given = [*before, broken]
    prefixes = given if as_prefix else None
    sources = ["ba"] * len(given) if as_prefix else given
    with pytest.raises(InputError) as raised:
        translator.translate(sources, prefixes=prefixes, **EVERYWHERE)
    assert is_one_line(raised.value)


@pytest.mark.parametrize("format", ["text", "jsonl"])
@settings(max_examples=examples(5))
@given(st.lists(lines, max_size=5), st.sampled_from(["\n", "\r\n"]), st.data())
def test_each_line_of_a_file_gives_one(translator, tmp_path, format, given, end, data):
    source, output = tmp_path / "in", tmp_path / "out"
    contents = "".join(line + end for line in given).encode()
    source.write_bytes(contents)
    read = lines_by_python(contents)
    n_best = data.draw(st.integers(1, 2))
    options = {**DECODING["beam"], **EVERYWHERE, "n_best": n_best, "format": format}
    chunk_lines = data.draw(st.sampled_from([None, 1, 3]))
    translate_file(translator, source, output, chunk_lines=chunk_lines, **options)
    written = output.read_bytes().decode().split("\n")
    assert written.pop() == ""
    options = {**DECODING["beam"], **EVERYWHERE}
    expected = translator.n_best(read, n_best, **options)
    flat = [(i, t) for i, found in enumerate(expected, 1) for t in found]
    assert len(written) == len(flat)
    for line, (number, translation) in zip(written, flat, strict=True):
        assert "\r" not in line
        if format == "jsonl":
            assert len(line.splitlines()) == 1
            record = json.loads(line)
            assert (record["line"], record["source"]) == (number, read[number - 1])
            assert record["text"] == translation.text
        elif n_best == 1:
            assert line == translation.text.replace("\n", " ").replace("\r", " ")
        else:
            assert line.split("\t")[0] == str(number)
            assert len(line.split("\t")) == 3


@settings(max_examples=examples(6))
@given(odd_bytes, st.sampled_from(["text", "jsonl"]))
def test_a_file_of_any_bytes_is_done_or_refused(translator, tmp_path, given, format):
    source, output = tmp_path / "in", tmp_path / "out"
    source.write_bytes(given)
    number = len(lines_by_python(given, "replace"))
    options = {**DECODING["greedy"], **EVERYWHERE, "format": format}
    done = translate_file(translator, source, output, on_error="skip", **options)
    assert done.lines == number
    assert output.read_bytes().decode().count("\n") == number
    output.unlink()
    try:
        given.decode()
    except UnicodeDecodeError:
        with pytest.raises(InputError, match="not UTF-8") as raised:
            translate_file(translator, source, output, **options)
        assert is_one_line(raised.value)
        assert not output.exists()
