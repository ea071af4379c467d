"""What validation measures by: the tokenizer of BLEU, and which results compare."""

import dataclasses
import hashlib
import json
from types import SimpleNamespace

import pytest
import sacrebleu
from sacrebleu.tokenizers import tokenizer_ja_mecab
from tiny_runs import one_layer_config, reversed_pairs, tiny_config

from transformer_jax.devices.mesh import make_mesh
from transformer_jax.errors import InputError
from transformer_jax.evaluation.evaluate import translation_scores
from transformer_jax.training.train import train
from transformer_jax.training.validation import Validation, validation_tokenizer

REFERENCES = ["他昨天去了上海。", "我喜歡這隻貓。"]
HYPOTHESES = ["他昨天去了北京。", "我喜歡這隻貓。"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "13a"),
        ({"data__target_language": "zh-CN"}, "zh"),
        ({"data__target_language": "Japanese"}, "ja-mecab"),
        (
            {"data__target_language": "ja", "training__bleu_tokenizer": "char"},
            "char",
        ),
        (
            {
                "data__train_source_path": "train.en",
                "data__train_target_path": "train.zh",
            },
            "zh",
        ),
        (
            {
                "data__train_source_path": "train.en",
                "data__train_target_path": "train.zh",
                "data__validation_source_path": "dev.en",
                "data__validation_target_path": "dev.ko",
            },
            "ko-mecab",
        ),
    ],
)
def test_the_tokenizer_follows_the_target_language(changes, expected):
    assert validation_tokenizer(tiny_config(**changes)) == expected


def test_translations_are_scored_as_by_sacrebleu():
    def n_best(sources, number, on_done=None):
        return [[SimpleNamespace(text=text)] for text in HYPOTHESES]

    translator = SimpleNamespace(n_best=n_best)
    found = translation_scores(translator, ["a", "b"], REFERENCES, "zh")
    bleu = sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES], tokenize="zh").score
    assert (found["bleu"], found["bleu_signature"].split("|")[3]) == (bleu, "tok:zh")
    assert bleu > 50
    assert found["chrf"] == sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score


def test_results_by_another_tokenizer_are_not_compared():
    """Those by 13a still compare with those of runs from before there was a choice."""

    def yardstick(**changes):
        config = tiny_config(**changes)
        data = SimpleNamespace(validation_text="a digest", validation_pairs=None)
        return Validation(config, make_mesh(config.mesh), data).yardstick()

    config = tiny_config()
    before = {
        "text": "a digest",
        "sentences": 0,
        "decoding": dataclasses.asdict(config.decoding),
        "label_smoothing": 0.1,
    }
    del before["decoding"]["forbidden_tokens"]  # Which there was not yet.
    text = json.dumps(before, sort_keys=True).encode()
    assert yardstick() == hashlib.sha256(text).hexdigest()[:16]
    digests = {
        yardstick(training__bleu_tokenizer=name) for name in ("13a", "zh", "char")
    }
    assert yardstick() in digests
    assert len(digests) == 3
    assert yardstick(data__target_language="cmn") in digests


@pytest.mark.slow
def test_a_run_names_its_tokenizer_and_chrf_can_decide(tmp_path):
    config = one_layer_config(
        training__num_steps=2,
        training__evaluate_every_steps=1,
        training__checkpoint_every_steps=1,
        training__validation_bleu_sentences=2,
        training__best_metric="chrf",
        data__target_language="Chinese",
    )
    pairs = reversed_pairs(40)
    result = train(
        config, tmp_path, train_pairs=pairs, validation_pairs=pairs[:4], progress=False
    )
    lines = [line for line in result.history if line["kind"] == "validation"]
    assert len(lines) == 2
    for line in lines:
        assert "|tok:zh|" in line["bleu_signature"]
        assert line["chrf"] >= 0


def test_missing_packages_end_a_run_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)
    changes = {"data__target_language": "ja", "training__validation_bleu_sentences": 2}
    pairs = reversed_pairs(40)

    def run(validation_pairs=None, **more):
        train(
            one_layer_config(training__num_steps=1, **changes | more),
            tmp_path / "run",
            train_pairs=pairs,
            validation_pairs=validation_pairs,
            progress=False,
        )

    with pytest.raises(InputError) as refused:
        run(pairs[:4])
    assert str(refused.value).startswith("training.bleu_tokenizer=ja-mecab needs ")
    assert "pip install 'sacrebleu[ja]'" in str(refused.value)
    assert not list(tmp_path.glob("run/*"))
    # Nothing is needed where no BLEU is taken.
    run()
