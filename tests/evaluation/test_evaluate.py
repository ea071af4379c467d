"""Scores of a model are those of a computation that takes one pair at a time."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sacrebleu.tokenizers import tokenizer_ja_mecab, tokenizer_ko_mecab
from tiny_runs import WORDS, tiny_config, trained_run
from tiny_treebank import parsing_run

from transformer_jax.checkpoints.averaging import average_checkpoints
from transformer_jax.checkpoints.choosing import load_chosen
from transformer_jax.checkpoints.manager import Checkpoints
from transformer_jax.data.sentence_pairs import from_files, from_list
from transformer_jax.errors import InputError
from transformer_jax.evaluation import evaluate as evaluation
from transformer_jax.evaluation.corpus_loss import encode_corpus, split_batches
from transformer_jax.evaluation.evaluate import evaluate
from transformer_jax.evaluation.text_scores import choose_scoring
from transformer_jax.model.transformer import Transformer
from transformer_jax.text_metrics.bleu import corpus_bleu, paper_bleu
from transformer_jax.text_metrics.quality import translation_quality
from transformer_jax.translation.translator import Translator

# Its target is longer than a row of training.
LONG = ("ba be bi", " ".join(["bi", "be", "ba"] * 13))


def reference_losses(pairs) -> tuple[float, float]:
    """Loss and nll per token, in float64 from the logits of each pair alone."""
    trained = trained_run().result.translator
    tokenizer, smoothing = trained.tokenizer, trained.config.training.label_smoothing
    model = Transformer(trained.config.model)

    @jax.jit
    def logits(params, source, segments, inputs):
        def run(model):
            hidden = model(source, inputs, source_segments=segments, deterministic=True)
            return model.logits(hidden)

        return model.apply({"params": params}, method=run)

    sums = np.zeros(3)
    for source, target in pairs:
        (source,) = tokenizer.encode_source([source])
        (target,) = tokenizer.encode_target([target])
        padded = np.zeros((3, 1, 64), np.int32)
        padded[0, 0, : len(source)] = source
        padded[1, 0, : len(source)] = 1
        padded[2, 0, : len(target)] = [tokenizer.bos_id, *target[:-1]]
        found = logits(trained.params, *map(jnp.asarray, padded))
        found = np.asarray(found, np.float64)[0, : len(target)]
        log_p = found - np.log(np.exp(found).sum(axis=-1, keepdims=True))
        nll = -log_p[np.arange(len(target)), target].sum()
        uniform = -log_p.mean(axis=-1).sum()
        loss = (1 - smoothing) * nll + smoothing * uniform
        sums += (loss, nll, len(target))
    return sums[0] / sums[2], sums[1] / sums[2]


@pytest.fixture(scope="module")
def pairs() -> list:
    """Also what training leaves out: what is too long for a row, and empty sides."""
    return [*trained_run().validation_pairs[:8], LONG, ("", "ba"), ("bo", "")]


@pytest.fixture(scope="module")
def result(pairs):
    return evaluate(trained_run().workdir, pairs=pairs)


@pytest.mark.slow
def test_loss_and_perplexity_are_those_of_each_pair_alone(result, pairs):
    loss, nll = reference_losses(pairs)
    assert result.scores["loss"] == pytest.approx(loss, rel=1e-5)
    assert result.scores["nll"] == pytest.approx(nll, rel=1e-5)
    assert result.scores["perplexity"] == pytest.approx(np.exp(nll), rel=1e-4)


def test_validation_in_training_gives_the_same_numbers():
    trained = trained_run()
    line = trained.result.history[-1]
    assert (line["kind"], line["step"]) == ("validation", 36)
    loss, nll = reference_losses(trained.validation_pairs)
    assert line["loss"] == pytest.approx(loss, rel=1e-5)
    assert line["perplexity"] == pytest.approx(np.exp(nll), rel=1e-4)
    sources, references = zip(*trained.validation_pairs[:6], strict=True)
    translations = trained.result.translator.translate(sources)
    assert line["bleu"] == corpus_bleu(translations, references).bleu


def test_a_pair_that_is_too_long_has_the_loss_of_its_parts(pairs):
    """Two of these sentences are more than the 24 tokens of a source in one piece."""
    parts = [
        (f"{word} ba be bi bo bu ko ki mi ma bu.", f"bu ma mi ki ko bu bo be {word}.")
        for word in WORDS
    ]
    long = tuple(" ".join(side) for side in zip(*parts, strict=True))
    found = evaluate(trained_run().workdir, pairs=[pairs[0], long, pairs[1]]).scores
    loss, nll = reference_losses([*pairs[:2], *parts])
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    assert found["nll"] == pytest.approx(nll, rel=1e-5)
    assert found["num_sentences"] == 3


def test_rows_are_of_bounded_length(pairs):
    translator = trained_run().result.translator
    config, mesh, tokenizer = translator.config, translator.mesh, translator.tokenizer
    long = " ".join(["ba be bi. bo bu."] * 400)
    corpus = encode_corpus([long, "ba"], [long, "be"], tokenizer)
    batches = list(split_batches(corpus, config, mesh, tokenizer))
    assert max(batch.source.shape[1] for batch in batches) <= 4 * 24
    tokens = sum(int((batch.target_segments != 0).sum()) for batch in batches)
    assert tokens > int(corpus.target_lengths.sum())  # The end of each part.


@pytest.mark.smoke
def test_every_pair_is_translated_and_scored(result, pairs):
    scores = result.scores
    assert scores["num_sentences"] == len(result.translations) == len(pairs)
    assert (scores["step"], scores["checkpoint"]) == (36, "latest")
    translations = trained_run().result.translator.translate([s for s, _ in pairs])
    assert result.translations == translations
    references = [target for _, target in pairs]
    expected = translation_quality(translations, [references])
    assert scores["bleu_signature"] == expected.signature
    for name in ("bleu", "chrf", "chrf_signature", "ter", "ter_signature"):
        assert scores[name] == getattr(expected, name)
    paper = paper_bleu(translations, references)  # As the defaults are English-German.
    assert scores["paper_bleu"] == paper.bleu
    assert scores["paper_bleu_signature"] == paper.signature


def test_scores_say_what_they_are_of(result):
    expected = {
        "model": "trained",
        "checkpoint": "latest",
        "step": 36,
        "averaged_steps": [],
        "ema_decay": None,
        "beam_size": 4,
        "length_penalty": "gnmt",
        "length_penalty_alpha": 0.6,
        "max_extra_length": 50,
        "compute_dtype": "float32",
        "batch_tokens": 128,  # Of what is not the default.
    }
    assert expected.items() <= result.scores.items()
    assert not {"temperature", "coverage_penalty"} & result.scores.keys()


@pytest.mark.slow
def test_an_average_says_which_steps_it_is_of_and_takes_settings(tmp_path):
    average = average_checkpoints(trained_run().workdir, 2, output=tmp_path / "mean")
    pairs = trained_run().validation_pairs[:4]
    result = evaluate(average, pairs=pairs, beam_size=1, min_length=5)
    origin = {"model": "mean", "step": 36, "averaged_steps": [27, 36]}
    assert origin.items() <= result.scores.items()
    assert {"beam_size": 1, "min_length": 5}.items() <= result.scores.items()
    assert all(result.translations)  # It has not learnt enough to do so by itself.


def test_a_checkpoint_elsewhere_is_evaluated_without_its_run(result, pairs, tmp_path):
    shutil.copytree(trained_run().workdir / "checkpoints" / "36", tmp_path / "model")
    elsewhere = evaluate(tmp_path / "model", pairs=pairs)
    assert elsewhere.scores == result.scores | {"step": None, "model": "model"}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [(None, r"has no test data: set data\.test_source_path"), ([], "pairs are empty")],
)
def test_nothing_to_evaluate_is_an_error(pairs, message):
    with pytest.raises(InputError, match=message):
        evaluate(trained_run().workdir, pairs=pairs)


def test_a_run_without_a_test_text_is_pointed_at_its_validation_text(tmp_path):
    params, config, tokenizer = load_chosen(trained_run().workdir)
    files = {"validation_source_path": "val.en", "validation_target_path": "val.de"}
    config = config.replace(data=dataclasses.replace(config.data, **files))
    with Checkpoints(tmp_path, config.training) as checkpoints:
        checkpoints.save(1, params, {"step": jnp.int32(1)}, config, tokenizer)
    with pytest.raises(InputError, match="give pairs; or evaluate split=validation"):
        evaluate(tmp_path)


def test_names_of_files_that_are_not_german_get_no_german_protocol(
    pairs, tmp_path, caplog
):
    files = {}
    for suffix, index in ("en", 0), ("de", 1), ("fr", 1):
        files[suffix] = tmp_path / f"test.{suffix}"
        files[suffix].write_text("".join(f"{pair[index]}\n" for pair in pairs[:2]))
    german = evaluate(
        trained_run().workdir, pairs=from_files(files["en"], files["de"])
    ).scores
    assert "paper_bleu" in german
    assert "is named as" not in caplog.text
    french = evaluate(
        trained_run().workdir, pairs=from_files(files["en"], files["fr"])
    ).scores
    paper = {"paper_bleu", "paper_bleu_signature"}
    assert french == {k: v for k, v in german.items() if k not in paper}
    assert caplog.text.count(f"but {files['fr']} is named as fr: taken for fr") == 1


def test_the_tokenizer_can_be_chosen_and_is_looked_at_first(pairs, monkeypatch):
    found = evaluate(trained_run().workdir, pairs=pairs[:2], tokenizer="char").scores
    assert "|tok:char|" in found["bleu_signature"]
    monkeypatch.setattr(tokenizer_ko_mecab, "MeCab", None)
    monkeypatch.setattr(Translator, "from_checkpoint", None)
    with pytest.raises(InputError, match=r"'sacrebleu\[ko\]'"):
        evaluate(trained_run().workdir, pairs=pairs[:2], tokenizer="ko-mecab")
    with pytest.raises(InputError, match="tokenizer=14a must be one of 13a"):
        evaluate(trained_run().workdir, pairs=pairs[:2], tokenizer="14a")


@pytest.mark.parametrize(
    ("run", "changes", "message"),
    [
        (trained_run, {"beam_size": 10**9}, "take a smaller beam"),
        (parsing_run, {"beam_size": 10**9}, "take a smaller beam"),
        (parsing_run, {"no_repeat_ngram_size": 2}, "no_repeat_ngram_size"),
    ],
)
def test_what_no_search_can_do_is_refused_before_the_loss(
    run, changes, message, pairs, monkeypatch
):
    monkeypatch.setattr(evaluation, "corpus_loss", None)  # Called, it would fail.
    given = {"pairs": pairs} if run is trained_run else {"split": "validation"}
    with pytest.raises(InputError, match=message):
        evaluate(run().workdir, progress=False, **given, **changes)


def test_missing_packages_of_the_language_cost_no_translation(pairs, monkeypatch):
    monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)
    translator = trained_run().result.translator
    config = tiny_config(data__target_language="Japanese")
    monkeypatch.setattr(translator, "config", config)
    monkeypatch.setattr(translator, "n_best", None)
    monkeypatch.setattr(Translator, "from_checkpoint", lambda *_: translator)
    with pytest.raises(InputError, match=r"ja-mecab needs .*'sacrebleu\[ja\]'"):
        evaluate(trained_run().workdir, pairs=pairs[:2])


@pytest.mark.parametrize(
    ("changes", "tokenizer", "expected"),
    [
        ({}, None, ("13a", True)),
        ({"data__target_language": "German"}, None, ("13a", True)),
        ({"data__target_language": "zho_Hans"}, None, ("zh", False)),
        ({"data__target_language": "zh"}, "intl", ("intl", False)),
        (
            {"data__target_language": "zh", "training__bleu_tokenizer": "char"},
            None,
            ("char", False),
        ),
        (
            {"data__target_language": "zh", "training__bleu_tokenizer": "char"},
            "zh",
            ("zh", False),
        ),
        # The model speaks French, whatever the default says.
        (
            {"data__train_source_path": "a.en", "data__train_target_path": "a.fr"},
            None,
            ("13a", False),
        ),
    ],
)
def test_scoring_by_argument_setting_and_language(changes, tokenizer, expected):
    data = from_list([("a", "b")])
    found = choose_scoring(tiny_config(**changes), data, tokenizer)
    assert (found.tokenizer, found.by_paper) == expected
