"""The command `bleu`: one JSON object, or one line that says what is wrong."""

import dataclasses
import json

import pytest
import sacrebleu
from sacrebleu.tokenizers import tokenizer_ja_mecab

from transformer_jax.cli import main
from transformer_jax.text_metrics.quality import translation_quality

# A line separator and a form feed do not end a line; a carriage return before the
# newline belongs to it.
HYPOTHESES = ["Ein\u2028Haus am\fSee ist schön.", "", "Das ist ein Test."]
REFERENCES = ["Ein Haus am See ist schön.", "ja", "Das war ein Test."]


def write(path, lines, newline="\n"):
    path.write_bytes("".join(line + newline for line in lines).encode())
    return str(path)


@pytest.fixture
def files(tmp_path):
    return {
        "--hypothesis": write(tmp_path / "hypothesis", HYPOTHESES, "\r\n"),
        "--reference": write(tmp_path / "reference", REFERENCES),
    }


def run(files, *arguments):
    return main(
        ["bleu", *(word for pair in files.items() for word in pair), *arguments]
    )


def scores(capsys, files, *arguments):
    assert run(files, *arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def as_json(quality):
    found = json.loads(json.dumps(dataclasses.asdict(quality)))
    return {name: value for name, value in found.items() if value is not None}


def test_scores_are_those_of_the_function(files, capsys):
    found = scores(capsys, files)
    assert found == as_json(translation_quality(HYPOTHESES, [REFERENCES]))
    keys = {"bleu", "signature", "chrf", "chrf_signature", "ter", "ter_signature"}
    assert keys <= found.keys()
    assert found["num_sentences"] == 3
    assert "comparison" not in found


def test_every_option_reaches_the_function(files, tmp_path, capsys):
    baseline = ["Ein Haus ist schön.", "nein", "Das ist gut."]
    other = write(tmp_path / "other", HYPOTHESES[::-1])
    named = write(tmp_path / "baseline", baseline)
    options = ["--tokenizer", "intl", "--lowercase", "--baseline", named]
    found = scores(capsys, files, other, *options, "--resamples", "9", "--seed", "5")
    expected = translation_quality(
        HYPOTHESES, [REFERENCES, HYPOTHESES[::-1]],
        tokenizer="intl", lowercase=True, baseline=baseline, resamples=9, seed=5,
    )  # fmt: skip
    assert found == as_json(expected)
    assert found["comparison"]["ter"].keys() == {
        "score", "baseline", "difference", "interval", "p_value"
    }  # fmt: skip
    multi30k = scores(capsys, files, "--protocol", "multi30k", "--language", "de")
    assert "tok:moses-de" in multi30k["signature"]


def test_bad_files_are_named_in_one_line(files, tmp_path, capsys):
    def complaint(*arguments, **changes):
        assert run(files | changes, *arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        return line

    short = write(tmp_path / "short", ["a"])
    empty = write(tmp_path / "empty", [])
    (tmp_path / "latin1").write_bytes(b"a\nsch\xf6n\nb\n")
    told = complaint(**{"--reference": short})
    assert f"{tmp_path}/hypothesis has 3 lines and {short} has 1" in told
    assert f"hypothesis has 3 lines and {short} has 1" in complaint("--baseline", short)
    told = complaint(**{"--reference": empty, "--hypothesis": empty})
    assert f"{empty} is empty" in told
    told = complaint(**{"--hypothesis": f"{tmp_path}/latin1"})
    assert f"{tmp_path}/latin1, line 2: not UTF-8" in told
    assert f"{tmp_path}/no: no such file" in complaint("--baseline", f"{tmp_path}/no")
    assert "needs the language" in complaint("--protocol", "multi30k")
    told = complaint("--baseline", f"{tmp_path}/hypothesis", "--seed", "-1")
    assert "--seed -1 must be at least 0" in told
    told = complaint("--protocol", "multi30k", "--language", "xx")
    assert "--language 'xx' has no Moses tokens" in told


CHINESE = ["他昨天去了北京。", "我喜歡這隻貓。"], ["他昨天去了上海。", "我喜歡這隻貓。"]


def chinese_files(folder, suffix):
    return {
        "--hypothesis": write(folder / "hypothesis", CHINESE[0]),
        "--reference": write(folder / f"reference.{suffix}", CHINESE[1]),
    }


@pytest.mark.parametrize(
    ("suffix", "arguments", "tokenizer"),
    [
        ("text", [], "13a"),
        ("de", [], "13a"),
        ("text", ["--language", "Chinese"], "zh"),
        ("text", ["--tokenizer", "zh"], "zh"),
        ("zh", [], "zh"),
        ("zh", ["--tokenizer", "char"], "char"),
    ],
)
def test_the_tokenizer_is_that_of_the_language(
    suffix, arguments, tokenizer, tmp_path, capsys
):
    found = scores(capsys, chinese_files(tmp_path, suffix), *arguments)
    expected = sacrebleu.corpus_bleu(CHINESE[0], [CHINESE[1]], tokenize=tokenizer)
    assert found["bleu"] == expected.score
    assert f"|tok:{tokenizer}|" in found["signature"]


def test_a_protocol_of_one_language_is_not_for_others(tmp_path, capsys, monkeypatch):
    french = chinese_files(tmp_path, "fr")
    paper = ["--protocol", "paper-en-de"]
    assert run(french, *paper) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path}/reference.fr is named as fr: choose another" in line
    assert run(french, *paper, "--language", "fr") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "--language 'fr' does not go with --protocol paper-en-de" in line
    # The user knows better than the name.
    assert run(french, *paper, "--language", "de") == 0
    printed = capsys.readouterr()
    assert printed.err == (
        f"--language de, but {tmp_path}/reference.fr is named as fr\n"
    )
    assert json.loads(printed.out)["protocol"] == "paper-en-de"
    monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)
    assert run(chinese_files(tmp_path, "ja")) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "--tokenizer ja-mecab needs packages" in line
    assert "pip install 'sacrebleu[ja]'" in line


@pytest.mark.parametrize(
    ("language", "hint"),
    [("Frnech", "did you mean french?"), ("klingon", "give its code"), ("", "code")],
)
def test_a_language_that_nobody_knows_is_refused(tmp_path, capsys, language, hint):
    text = write(tmp_path / "text", ["a b"])
    files = {"--hypothesis": text, "--reference": text}
    assert run(files, "--language", language) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert f"--language {language!r} is not known; " in told
    assert hint in told
