"""sacreBLEU's tokenizers: by language, and what they need."""

import pytest
import sacrebleu
import sentencepiece
from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers import tokenizer_ja_mecab, tokenizer_ko_mecab, tokenizer_spm

from transformer_jax.errors import InputError
from transformer_jax.text_metrics.bleu import corpus_bleu
from transformer_jax.text_metrics.quality import translation_quality
from transformer_jax.text_metrics.tokenizers import (
    check_tokenizer,
    tokenizer_of_language,
)

HYPOTHESES = ["他昨天去了北京。", "我喜歡這隻貓。"]
REFERENCES = ["他昨天去了上海。", "我喜歡這隻貓。"]


def test_a_language_has_the_tokenizer_that_sacrebleu_gives_it():
    names = {"zh": "Chinese", "ja": "Japanese", "ko": "Korean", "de": "German"}
    for code, name in names.items():
        expected = BLEU._TOKENIZER_MAP.get(code, BLEU.TOKENIZER_DEFAULT)
        assert tokenizer_of_language(code) == expected
        assert tokenizer_of_language(name) == expected
    assert tokenizer_of_language(None) == BLEU.TOKENIZER_DEFAULT


def test_chinese_by_hand():
    # Tokens are characters: 8 and 7, of which 2 differ. 13a has a token a sentence.
    found = corpus_bleu(HYPOTHESES, REFERENCES, language="zh-CN")
    assert found.hypothesis_length == found.reference_length == 15
    assert found.precisions[0] == pytest.approx(100 * 13 / 15)
    # Of 7 + 6 bigrams, 3 differ.
    assert found.precisions[1] == pytest.approx(100 * 10 / 13)
    assert "|tok:zh|" in found.signature
    as_german = corpus_bleu(HYPOTHESES, REFERENCES, language="de")
    assert as_german.hypothesis_length == 2
    assert as_german.bleu == corpus_bleu(HYPOTHESES, REFERENCES).bleu == 0.0


def test_chinese_is_scored_as_by_sacrebleu():
    expected = sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES], tokenize="zh").score
    assert expected > 50
    assert corpus_bleu(HYPOTHESES, REFERENCES, language="Chinese").bleu == expected
    assert corpus_bleu(HYPOTHESES, REFERENCES, tokenizer="zh").bleu == expected
    quality = translation_quality(HYPOTHESES, [REFERENCES], language="zho_Hans")
    assert (quality.bleu, quality.signature.split("|")[3]) == (expected, "tok:zh")


def test_a_tokenizer_wins_over_the_language():
    found = corpus_bleu(HYPOTHESES, REFERENCES, tokenizer="char", language="ja")
    assert "|tok:char|" in found.signature


@pytest.mark.parametrize(
    ("language", "module"), [("ja", tokenizer_ja_mecab), ("ko", tokenizer_ko_mecab)]
)
def test_a_missing_extra_is_one_line_that_names_it(language, module, monkeypatch):
    monkeypatch.setattr(module, "MeCab", None)
    advice = (
        f"{language}-mecab needs packages that are missing: run `pip install "
        f"'sacrebleu[{language}]'`, or choose another, as char."
    )
    with pytest.raises(InputError) as refused:
        corpus_bleu(HYPOTHESES, REFERENCES, language=language)
    assert str(refused.value) == f"tokenizer={advice}"
    with pytest.raises(InputError) as refused:
        check_tokenizer(f"{language}-mecab", "training.bleu_tokenizer")
    assert str(refused.value) == f"training.bleu_tokenizer={advice}"


def test_japanese_words_where_the_extra_is_installed():
    pytest.importorskip("ipadic")
    # 猫|が|好き|です|。 by IPA dictionary.
    found = corpus_bleu(["猫が好きです。"], ["猫が好きです。"], language="ja")
    assert found.hypothesis_length == 5
    assert "tok:ja-mecab" in found.signature


@pytest.mark.parametrize("failure", [OSError("no route"), SystemExit(1)])
def test_a_model_that_cannot_be_fetched(failure, tmp_path, monkeypatch):
    def download_file(*_):
        raise failure

    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))
    monkeypatch.setattr(tokenizer_spm, "download_file", download_file)
    with pytest.raises(InputError) as refused:
        check_tokenizer("flores200")
    assert "tokenizer=flores200 needs a model" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_flores200_takes_the_model_that_is_there(tmp_path, monkeypatch):
    """With a small model of the same kind in its place."""
    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))
    (tmp_path / "models").mkdir()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["ba be bi bo", "be bo"] * 20),
        model_prefix=f"{tmp_path}/models/flores200sacrebleuspm",
        vocab_size=12, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    (tmp_path / "models" / "flores200sacrebleuspm.model").rename(
        tmp_path / "models" / "flores200sacrebleuspm"
    )
    found = corpus_bleu(["ba be bi bo"], ["ba be bi bo"], tokenizer="flores200")
    assert found.bleu == pytest.approx(100)
    assert "|tok:flores200|" in found.signature


def test_an_unknown_tokenizer_is_named():
    with pytest.raises(InputError, match="tokenizer=14a must be one of 13a, intl"):
        check_tokenizer("14a")
