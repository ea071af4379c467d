"""Whatever a model has learnt, a tree over just the words of the sentence comes out."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import tiny_config, trained_run
from tiny_treebank import parsing_config, parsing_run, random_trees

import transformer_jax as tj
from transformer_jax.cli import main
from transformer_jax.parser.tree_scores import with_punctuation_of
from transformer_jax.parsing.linearisation import linearise

SENTENCES = [
    "da na ve ni .",
    "nu",
    "",
    "Never seen (or so) in 1\u00a0000 trees \u2014 \u6f22\u5b57",
    " ".join(["na"] * 60),
]


@pytest.fixture(scope="module")
def parser():
    return tj.Parser.from_checkpoint(parsing_run().workdir)


@pytest.fixture(scope="module")
def wild(parser):
    """A parser with random parameters: it wants nothing in particular."""
    rng = np.random.default_rng(0)
    translator = parser.translator

    def draw(path, leaf):
        return 0.3 * rng.standard_normal(leaf.shape).astype(np.float32)

    import jax

    params = jax.tree_util.tree_map_with_path(draw, translator.params)
    return tj.Parser(tj.Translator(translator.config, params, translator.tokenizer))


def test_every_output_is_a_tree_over_the_words(parser, wild):
    for one, beam_sizes in ((parser, (3,)), (wild, (1, 3))):
        for beam_size in beam_sizes:
            found = one.n_best(SENTENCES, 1, beam_size=beam_size)
            for sentence, several in zip(SENTENCES, found, strict=True):
                if not sentence:
                    assert several == []
                    continue
                (parsed,) = several
                assert not parsed.was_mended
                escaped = sentence.replace("(", "-LRB-").replace(")", "-RRB-")
                words = [word for word in escaped.split(" ") if word]
                assert list(parsed.tree.words) == words
                assert tj.Tree.from_text(str(parsed.tree)) == parsed.tree


@pytest.mark.slow
def test_without_the_grammar_what_comes_out_is_mended(wild):
    found = wild.n_best(SENTENCES, 1, well_formed=False)
    assert sum(one.was_mended for several in found for one in several) >= 3
    for sentence, several in zip(SENTENCES, found, strict=True):
        for one in several:
            assert len(one.tree.words) == len([w for w in sentence.split(" ") if w])


@pytest.mark.slow
def test_the_limit_of_length_binds_and_trees_are_closed(wild):
    for extra in (1, 5):
        found = wild.n_best(SENTENCES, 1, max_extra_length=extra, beam_size=2)
        assert not any(one.was_mended for several in found for one in several)


@pytest.mark.slow
def test_words_and_lists_of_words_are_the_same(parser):
    lists = [sentence.split(" ") if sentence else [] for sentence in SENTENCES]
    assert parser.parse(lists) == parser.parse(SENTENCES)
    assert parser.parse(tuple(lists[:1])) == parser.parse(iter(SENTENCES[:1]))


@pytest.mark.slow
def test_order_and_company_do_not_matter(parser):
    together = parser.parse(SENTENCES)
    assert parser.parse(SENTENCES[::-1]) == together[::-1]
    assert [parser.parse([sentence])[0] for sentence in SENTENCES] == together


def test_the_score_of_a_tree_is_that_of_its_tokens(parser):
    translator = parser.translator
    tokenizer = translator.tokenizer
    sentences = [one for one in SENTENCES if one][:2]
    n_best = parser.n_best(sentences, 1, length_penalty="none", beam_size=3)
    found = [one for (one,) in n_best]
    tokens = [" ".join(linearise(one.tree)) for one in found]
    scores = tj.score_tokens(
        translator, tokenizer.encode_source(sentences), tokenizer.encode_target(tokens)
    )
    for one, score in zip(found, scores, strict=True):
        assert one.score == pytest.approx(score.log_prob, abs=1e-3)


def test_brackets_and_tags_are_single_pieces(parser):
    tokenizer = parser.translator.tokenizer
    for tree in random_trees(50, seed=5):
        tokens = linearise(tree)
        (ids,) = tokenizer.encode_target([" ".join(tokens)])
        assert len(ids) == len(tokens) + 1
        assert tokenizer.decode_target([ids]) == [" ".join(tokens)]
    expected = {"(S", ")S", "(NP", ")NP", "DT", "NN", "VB", "IN", "."}
    assert expected <= set(tokenizer.target_symbols)


def test_the_model_learns_to_parse_and_f1_chooses(parser):
    run = parsing_run()
    lines = [line for line in run.result.history if line["kind"] == "validation"]
    assert [line["step"] for line in lines] == [20, 40]
    assert all(0 <= line["f1"] <= 100 and line["num_mended"] == 0 for line in lines)
    result = tj.evaluate(run.workdir, checkpoint="best", progress=False)
    assert result.scores["num_sentences"] == 30
    assert 20 < result.scores["f1"] <= 100
    assert [tj.Tree.from_text(text).words for text in result.references] == [
        tree.words for tree in random_trees(30, seed=2)
    ]
    gold = [tj.Tree.from_text(text) for text in result.references]
    # What is written out is what was scored.
    trees = [tj.Tree.from_text(text) for text in result.translations]
    scores = tj.evalb(gold, trees).all
    assert scores.f1 == pytest.approx(result.scores["f1"])
    assert scores.tagging_accuracy == pytest.approx(result.scores["tagging_accuracy"])


def test_gold_punctuation_alone_is_taken_over():
    gold = tj.Tree.from_text("(TOP (S (NP (NN na)) (, ,) (. .)))")
    own = tj.Tree.from_text("(TOP (S (NP (. na)) (VP (VB ,) (NN .))))")
    # A word that is no punctuation is one more that is wrong, not one that is right.
    assert with_punctuation_of(gold, own).tags == ("XX", ",", ".")
    assert with_punctuation_of(gold, gold) is gold


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"treebank__leaf_symbol": "XX"},
        pytest.param({"treebank__leaf_symbol": "word"}, marks=pytest.mark.long),
        {
            "tokenizer__shared": True,
            "model__share_embeddings": "all",
            "model__vocab_size": 310,
            "model__target_vocab_size": None,
        },
    ],
    ids=["XX", "word", "shared"],
)
def test_variants_of_the_vocabulary(tmp_path, changes):
    # Validation would need a search of its own.
    changes = {"training__best_metric": "loss", **changes}
    config = parsing_config(
        tmp_path,
        training__num_steps=3,
        training__validation_bleu_sentences=0,
        **changes,
    )
    result = tj.train(config, tmp_path / "run", progress=False)
    found = tj.Parser(result.translator).n_best(SENTENCES, 1)
    assert not any(one.was_mended for several in found for one in several)
    if symbol := config.treebank.leaf_symbol:
        assert set(found[0][0].tree.tags) == {symbol, "."}


@pytest.mark.slow
def test_the_command_gives_one_line_for_each(parser, tmp_path, capsys):
    source, output = tmp_path / "in", tmp_path / "out.gz"
    source.write_text("".join(f"{sentence}\n" for sentence in SENTENCES))
    workdir = str(parsing_run().workdir)
    assert main(["parse", workdir, "--input", str(source), "--no-progress"]) == 0
    expected = ["" if tree is None else str(tree) for tree in parser.parse(SENTENCES)]
    assert capsys.readouterr().out.split("\n")[:-1] == expected
    command = ["parse", workdir, "--input", str(source), "--output", str(output)]
    assert main([*command, "--no-well-formed", "--beam-size", "2"]) == 0
    assert "trees" in capsys.readouterr().err
    as_json = ["parse", workdir, "--input", str(source), "--format", "jsonl"]
    assert main(as_json) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["text"] for record in records] == expected
    fields = ["line", "rank", "source", "text", "score", "was_mended"]
    assert all(list(record) == fields for record in records)
    assert len(tj.read_trees(output)) == len(SENTENCES) - 1


def test_a_bad_line_is_named(tmp_path, capsys):
    source = tmp_path / "in"
    source.write_bytes(b"da na\n\xff\n")
    command = ["parse", str(parsing_run().workdir), "--input", str(source)]
    assert main(command) == 2
    assert "line 2" in capsys.readouterr().err.splitlines()[-1]


def test_the_trees_of_a_run_are_not_replaced(capsys):
    workdir = parsing_run().workdir
    (gold,) = tj.load_config(workdir).treebank.validation_paths
    before = Path(gold).read_bytes()
    command = ["evaluate", str(workdir), "--split", "validation", "--output", gold]
    assert main(command) == 2
    assert f"{gold} is an input too" in capsys.readouterr().err
    assert Path(gold).read_bytes() == before


def test_a_model_of_translation_is_no_parser():
    with pytest.raises(tj.InputError, match="was not trained on trees"):
        tj.Parser.from_checkpoint(trained_run().workdir)


@pytest.mark.parametrize(
    "given", ["da na", b"da", None, 3, np.array("da na"), random_trees(1)[0]]
)
def test_sentences_come_in_a_list(parser, given):
    with pytest.raises(tj.InputError, match=r"sentences=.* must be a list"):
        parser.parse(given)


@pytest.mark.parametrize(
    ("decoding", "culprit"),
    [
        ({"beam_size": 10**9}, "decoding.beam_size=1000000000 hypotheses .* need"),
        ({"max_extra_length": 10**9}, "max_extra_length=1000000000 tokens .* need"),
        ({"well_formed": "no"}, "well_formed='no' must be True or False"),
        ({"well_formed": 0}, "well_formed=0 must be True or False"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(parser, decoding, culprit):
    with pytest.raises(tj.InputError, match=culprit):
        parser.parse(["da na"], **decoding)


def test_what_is_no_model_is_refused():
    with pytest.raises(tj.InputError, match="must be a Translator; "):
        tj.Parser(None)
    workdir = str(parsing_run().workdir)
    with pytest.raises(tj.InputError, match="expected pairs of a work directory"):
        tj.Parser.from_checkpoint(workdir, ensemble=[workdir])


@pytest.mark.parametrize("given", [[None], [3], [["a b"]], [[""]], [b"a"]])
def test_what_is_no_sentence_is_named(parser, given):
    with pytest.raises(tj.InputError, match="sentence 0 is "):
        parser.parse(given)


def test_trees_and_texts_exclude_each_other(tmp_path):
    config = parsing_config(tmp_path)
    data = dataclasses.replace(
        config.data, train_source_path="a", train_target_path="b"
    )
    with pytest.raises(tj.InputError, match=r"treebank.train_paths exclude each other"):
        config.replace(data=data)
    with pytest.raises(tj.InputError, match="best_metric='bleu' is of translation"):
        parsing_config(tmp_path, training__best_metric="bleu")
    with pytest.raises(tj.InputError, match="best_metric='f1' is of parsing"):
        tiny_config(
            training__best_metric="f1", training__validation_bleu_sentences=None
        )


def test_a_damaged_tree_is_named_and_nothing_is_written(tmp_path):
    config = parsing_config(tmp_path)
    (tmp_path / "train.mrg").write_text("(TOP (S (NN na)))\n(TOP (S (NN na))\n")
    with pytest.raises(tj.InputError, match=r"treebank.train_paths: .*line 2"):
        tj.train(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("label", ["S\xa0Q", "S\u2028", "\u3000", "S\u2581"])
def test_a_label_that_cannot_be_a_token_is_named(tmp_path, label):
    config = parsing_config(tmp_path)
    (tmp_path / "train.mrg").write_text(f"(TOP ({label} (NN na)))\n")
    with pytest.raises(tj.InputError, match=r"treebank.train_paths: .*white space"):
        tj.prepare(config, tmp_path / "run")


def test_a_target_vocabulary_that_is_too_small(tmp_path):
    config = parsing_config(tmp_path, model__target_vocab_size=262)
    with pytest.raises(tj.InputError, match=r"target_vocab_size=262 is too small for"):
        tj.prepare(config, tmp_path / "run")
