"""What is of parsing and what of translation: each says so of the other's model."""

import json

import numpy as np
import pytest
from tiny_runs import reversed_pairs, trained_run
from tiny_treebank import parsing_run, random_trees, write_trees

import transformer_jax as tj
from transformer_jax.cli import main
from transformer_jax.parser.long_sentences import split_sentences
from transformer_jax.parsing.linearisation import linearise

SENTENCES = [" ".join(tree.words) for tree in random_trees(9, seed=7)]


@pytest.fixture
def sentences(tmp_path):
    path = tmp_path / "sentences"
    path.write_text("".join(f"{one}\n" for one in [*SENTENCES[:4], "", *SENTENCES[4:]]))
    return str(path)


def lines_of(path):
    return path.read_text().split("\n")[:-1]


def test_a_parser_does_not_translate(sentences, capsys):
    workdir = str(parsing_run().workdir)
    for command in (
        ["translate", workdir, "--input", sentences],
        ["score", workdir, "--source", sentences, "--target", sentences],
        ["evaluate", workdir, "--source", sentences, "--target", sentences],
    ):
        assert main(command) == 2
        assert "this model was trained on trees" in capsys.readouterr().err
    with pytest.raises(tj.InputError, match="trained on trees, to parse"):
        tj.evaluate(workdir, pairs=reversed_pairs(2), progress=False)
    with pytest.raises(tj.InputError, match="trained on trees, to parse"):
        parsing_run().result.translator.translate(["na"])


def test_a_translator_has_no_trees(tmp_path):
    path = write_trees(tmp_path / "gold", random_trees(3))
    with pytest.raises(tj.InputError, match=r"trees=.*is of use to a parser only"):
        tj.evaluate(trained_run().workdir, trees=path, progress=False)


def test_other_trees_are_scored_as_those_of_the_settings(tmp_path, capsys):
    workdir = parsing_run().workdir
    own = tj.evaluate(workdir, progress=False).scores
    path = write_trees(tmp_path / "gold.mrg", random_trees(30, seed=2))
    assert tj.evaluate(workdir, trees=path, progress=False).scores == own
    output, report = tmp_path / "trees", tmp_path / "report"
    command = ["evaluate", str(workdir), "--trees", path, "--output", str(output)]
    assert main([*command, "--examples", "1", "--no-progress"]) == 0
    printed = capsys.readouterr()
    scores = json.loads(printed.out)
    assert scores["f1"] == pytest.approx(own["f1"])
    assert "gold tree  (TOP" in printed.err
    # The F1 of files is that of the command.
    files = ["--gold", path, "--test", str(output), "--output", str(report)]
    assert main(["evalb", *files]) == 0
    counted = json.loads(capsys.readouterr().out)["all"]
    assert counted["num_errors"] == 0
    gold, test = tj.read_trees(path), tj.read_trees(output)
    assert tj.evalb(gold, test).all.f1 == pytest.approx(scores["f1"])


def test_training_ends_with_what_can_be_done_now(tmp_path, capsys):
    config = tmp_path / "config.json"
    config.write_text((parsing_run().workdir / "config.json").read_text())
    assert main(["train", str(config), "--workdir", str(parsing_run().workdir)]) == 0
    assert "transformer-jax parse" in capsys.readouterr().err


@pytest.mark.slow
def test_n_best_trees(sentences, tmp_path, capsys):
    workdir, output = str(parsing_run().workdir), tmp_path / "out.jsonl"
    command = ["parse", workdir, "--input", sentences, "--output", str(output)]
    options = ["--n-best", "2", "--format", "jsonl", "--beam-size", "3"]
    assert main([*command, *options, "--no-progress"]) == 0
    records = [json.loads(line) for line in lines_of(output)]
    parser = tj.Parser(parsing_run().result.translator)
    expected = parser.n_best(SENTENCES, 2, beam_size=3)
    found = [record for record in records if record["text"]]
    flat = [one for several in expected for one in several]
    assert [record["text"] for record in found] == [str(one.tree) for one in flat]
    np.testing.assert_allclose(
        [record["score"] for record in found], [one.score for one in flat], atol=1e-4
    )
    assert [record["text"] for record in records if record["line"] == 5] == [""]


@pytest.mark.slow
def test_an_interrupted_output_is_continued(sentences, tmp_path, monkeypatch):
    workdir, whole = str(parsing_run().workdir), tmp_path / "whole"
    command = ["parse", workdir, "--input", sentences, "--no-progress"]
    assert main([*command, "--output", str(whole)]) == 0
    output = tmp_path / "out"
    again = [*command, "--output", str(output), "--chunk-lines", "3"]
    n_best, calls = tj.Parser.n_best, []

    def once(*arguments, **settings):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return n_best(*arguments, **settings)

    monkeypatch.setattr(tj.Parser, "n_best", once)
    assert main(again) == 130
    assert len(lines_of(output.with_name("out.partial"))) == 6
    assert main([*again, "--continue"]) == 0
    assert len(calls) == 3 + 2
    assert output.read_text() == whole.read_text()


@pytest.mark.slow
def test_the_grammar_is_turned_on_and_off(sentences, tmp_path, capsys):
    workdir = str(parsing_run().workdir)
    command = ["parse", workdir, "--input", sentences, "--no-progress"]
    assert main([*command, "--min-length", "3"]) == 2
    capsys.readouterr()
    parser = tj.Parser(parsing_run().result.translator)
    for setting in (
        {"min_length": 3},
        {"no_repeat_ngram_size": 2},
        {"forbidden_tokens": (9,)},
    ):
        with pytest.raises(tj.InputError, match="forbids tokens that a tree may need"):
            parser.parse(SENTENCES, **setting)
        parser.parse(SENTENCES[:1], well_formed=False, **setting)
    assert main([*command, "--well-formed"]) == 0
    on = capsys.readouterr().out
    assert main([*command, "--no-well-formed", "--max-extra-length", "2"]) == 0
    off = capsys.readouterr()
    assert "trees that were mended" in off.err
    assert on != off.out


@pytest.mark.slow
def test_long_sentences_are_parsed_in_parts():
    parser = tj.Parser(parsing_run().result.translator)
    long = " ".join(SENTENCES)
    (whole,) = parser.parse([long])
    ((found, *_),) = parser.n_best([long], 1, max_source_tokens=20)
    assert found.tree.words == whole.words == tuple(long.split())
    assert not found.was_mended
    assert found.tree.label == "TOP"
    assert len(found.tree.children) > 1
    done = []
    parser.n_best([long, "", "na"], 1, max_source_tokens=20, on_done=done.append)
    assert done[-1] == 3
    with pytest.raises(tj.InputError, match=r"has .*max_source_tokens=20: .*too_long"):
        parser.parse(["na", long], max_source_tokens=20, too_long="refuse")
    with pytest.raises(tj.InputError, match=r"has a word of .*or raise that"):
        parser.parse(["na", "xyz" * 30 + " na"], max_source_tokens=20)


def test_the_longest_whole_sentence_is_as_set():
    tokenizer = parsing_run().result.translator.tokenizer
    words = ["na"] * 1_500
    parts = {
        (most, positions): len(
            split_sentences(
                [words], tokenizer, tj.DecodingConfig(max_source_tokens=most), positions
            )[0]
        )
        for most, positions in ((None, None), (4_096, None), (4_096, 800))
    }
    assert parts == {(None, None): 2, (4_096, None): 1, (4_096, 800): 2}


@pytest.mark.slow
def test_sampled_trees_follow_the_seed():
    parser = tj.Parser(parsing_run().result.translator)

    def draw(sentences, seed):
        return parser.parse(sentences, sampling=True, temperature=3.0, seed=seed)

    first = draw(SENTENCES, 1)
    assert draw(SENTENCES[::-1], 1)[::-1] == first
    assert draw(SENTENCES, 2) != first


def test_what_is_of_no_use_is_refused(tmp_path, capsys):
    with pytest.raises(tj.InputError, match="well_formed=True is of use to a parser"):
        tj.evaluate(trained_run().workdir, pairs=reversed_pairs(2), well_formed=True)
    with pytest.raises(tj.InputError, match="pairs= and trees= exclude"):
        tj.evaluate(trained_run().workdir, pairs=reversed_pairs(2), trees="a.mrg")


def test_trees_as_lines(tmp_path, capsys):
    path = tmp_path / "wsj_0001.mrg"
    path.write_text(
        "( (S\n (NP-SBJ-1 (DT da) (NN na))\n (VP (VB va) (NP (-NONE- *-1))) (. .)))\n"
        "( (S (NP (-NONE- *))))\n(ROOT (S1 ( (S (NP (NN ne)))))) "
    )
    cleaned = ["(TOP (S (NP (DT da) (NN na)) (VP (VB va)) (. .)))"]
    cleaned.append("(TOP (S (NP (NN ne))))")
    assert main(["trees", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == cleaned
    assert main(["trees", str(path), "--format", "words"]) == 0
    assert capsys.readouterr().out.splitlines() == ["da na va .", "ne"]
    tokens = ["trees", str(path), "--format", "tokens"]
    assert main([*tokens, "--leaf-symbol", "XX"]) == 0
    found = capsys.readouterr().out.splitlines()
    trees = [tj.Tree.from_text(text) for text in cleaned]
    assert found == [" ".join(linearise(tree, "XX")) for tree in trees]
    assert main(["trees", str(path), "--leaf-symbol", "XX"]) == 2
    assert main(["trees", str(tmp_path / "no*.mrg")]) == 2
    output = tmp_path / "out.gz"
    keep = ["--no-remove-functions", "--no-remove-traces", "--output", str(output)]
    assert main(["trees", str(path), *keep]) == 0
    assert "NP-SBJ-1" in str(tj.read_trees(output)[0])
    assert len(tj.read_trees(output)) == 3


@pytest.mark.parametrize("symbol", ["", "a b", "(", "\r", "\u00a0", "<s>", "x\x00"])
def test_a_leaf_symbol_is_a_word(symbol):
    with pytest.raises(tj.InputError, match=r"treebank.leaf_symbol=.* must be a word"):
        tj.TreebankConfig(leaf_symbol=symbol)


def test_another_leaf_symbol_is_another_run(tmp_path, capsys):
    run = parsing_run()
    stored = json.loads((run.workdir / "config.json").read_text())
    stored["treebank"]["leaf_symbol"] = "XX"
    (tmp_path / "config.json").write_text(json.dumps(stored))
    command = ["train", str(tmp_path / "config.json"), "--workdir", str(run.workdir)]
    assert main(command) == 2
    assert "treebank.leaf_symbol: None -> 'XX'" in capsys.readouterr().err
