"""What the functions of the package refuse: InputError, one line, nothing written."""

import re

import numpy as np
import pytest
from refusals import check_call
from tiny_runs import reversed_pairs, tiny_config, trained_run

import transformer_jax as tj

PAIRS = reversed_pairs(3)
CONFIG = tiny_config()
IDS = [[5, 2]]


@pytest.fixture(scope="module")
def translator():
    return trained_run().result.translator


# What the line has to say: the culprit, and the remedy; and the call that it answers.
CALLS = {
    # Settings.
    "model={} must be a ModelConfig": lambda _: tj.ExperimentConfig(model={}),
    "mesh=None must be a MeshConfig": lambda _: CONFIG.replace(mesh=None),
    "d_model=[512] must be an integer": lambda _: tj.ModelConfig(d_model=[512]),
    "d_model=None must be an integer": lambda _: tj.ModelConfig(d_model=None),
    "d_model=array([512]) must be an integer": lambda _: tj.ModelConfig(
        d_model=np.array([512])
    ),
    "data.train_split=b'train' must be a string": lambda _: tj.DataConfig(
        train_split=b"train"
    ),
    "epsilon=array([1.e-09]) must be a number": lambda _: tj.OptimizerConfig(
        epsilon=np.array([1e-9])
    ),
    "epsilon=(1+0j) must be a number": lambda _: tj.OptimizerConfig(epsilon=1 + 0j),
    "model.norm=['pre'] must be one of": lambda _: tj.ModelConfig(norm=["pre"]),
    "stall_minutes=(an integer of 1,329 bits)": lambda _: tj.TrainingConfig(
        stall_minutes=10**400
    ),
    "the configuration=None must be a table": lambda _: tj.config_from_dict(None),
    "the configuration=[] must be a table": lambda _: tj.config_from_dict([]),
    "1 is not a setting": lambda _: tj.config_from_dict({1: {}}),
    "model.1 is not a setting": lambda _: tj.config_from_dict({"model": {1: 2}}),
    "config={} must be an ExperimentConfig: give load": lambda _: tj.config_to_dict({}),
    "configuration is b'a' (bytes)": lambda _: tj.load_config(b"a"),
    "configuration is 7 (int)": lambda _: tj.load_config(7),
    "topp is not a setting of decoding": lambda _: tj.DecodingConfig().replace(topp=1),
    # Training.
    "config=None must be an ExperimentConfig": lambda _: tj.train(None, "w"),
    "config='a.toml' must be an ExperimentConfig": lambda _: tj.train("a.toml", "w"),
    "config=None must be an ExperimentConfig: give": lambda _: tj.prepare(None, "w"),
    "train pairs=5 (int) must be": lambda _: tj.train(CONFIG, "w", train_pairs=5),
    "train pairs='ab' (str) must be": lambda _: tj.train(CONFIG, "w", train_pairs="ab"),
    "train pairs are empty": lambda _: tj.train(CONFIG, "w", train_pairs=[]),
    "pair 0 of train pairs is ['a']": lambda _: tj.train(
        CONFIG, "w", train_pairs=[["a"]]
    ),
    "pair 0 of train pairs is ('a', 'b', 'c')": lambda _: tj.prepare(
        CONFIG, "w", train_pairs=[("a", "b", "c")]
    ),
    "pair 0 of train pairs is (b'a', b'b')": lambda _: tj.prepare(
        CONFIG, "w", train_pairs=[(b"a", b"b")]
    ),
    "pair 2 of validation pairs is None": lambda _: tj.prepare(
        CONFIG, "w", train_pairs=PAIRS, validation_pairs=[*PAIRS[:2], None]
    ),
    "validation pairs are empty": lambda _: tj.prepare(
        CONFIG, "w", train_pairs=PAIRS, validation_pairs=[]
    ),
    "the name of the directory is empty": lambda _: tj.prepare(
        CONFIG, "", train_pairs=PAIRS
    ),
    "from_step='9' must be an integer": lambda _: tj.train(
        CONFIG, "w", train_pairs=PAIRS, from_step="9"
    ),
    "config.toml cannot be written": lambda _: tj.train(
        CONFIG, "config.toml", train_pairs=PAIRS
    ),
    "data.train_source_path are both missing": lambda _: tj.train(CONFIG, "w"),
    "nothing has no checkpoints": lambda _: tj.average_checkpoints("nothing"),
    "last=2.0 must be an integer": lambda _: tj.average_checkpoints("run", 2.0),
    "steps=None": lambda _: tj.average_checkpoints("run", steps=[None]),
    "the directory is 5 (int): give a path": lambda _: tj.average_checkpoints(5),
    "the directory is 5 (int): give": lambda _: tj.read_metrics(5),
    # Parts.
    "split='dev' must be train, validation or test": lambda _: tj.load_pairs(
        CONFIG.data, "dev"
    ),
    "config=None must be a DataConfig": lambda _: tj.load_pairs(None, "train"),
    "config=None must be a MeshConfig": lambda _: tj.make_mesh(None),
    "mesh.data=3 must divide": lambda _: tj.make_mesh(tj.MeshConfig(data=3)),
    # Translation.
    "sentences=array('a', dtype='<U1') (ndarray) must be": lambda t: t.translate(
        np.array("a")
    ),
    "sentences[0]=['a'] (list) must be a string": lambda t: t.translate([["a"]]),
    "(float64) must be a string": lambda t: t.translate(np.array([1.5])),
    "sentences[1]=7 (int) must be a string": lambda t: t.translate(["a", 7]),
    "n='2' must be an integer": lambda t: t.n_best(["a"], "2"),
    "n=None must be an integer": lambda t: t.n_best(["a"], None),
    "n=2.0 must be an integer": lambda t: t.n_best(["a"], 2.0, sampling=True),
    "n=-1 must be at least 1": lambda t: t.n_best(["a"], -1, sampling=True),
    "decoding.beam_size=1000000000 hypotheses": lambda t: t.n_best(
        ["a"], 10**9, sampling=True
    ),
    "run has no checkpoint 1.5: choose one of": lambda _: tj.Translator.from_checkpoint(
        "run", 1.5
    ),
    "run has no checkpoint 'newest': choose one of": lambda _: (
        tj.Translator.from_checkpoint("run", "newest")
    ),
    "run has no checkpoint None: choose one of": lambda _: (
        tj.Translator.from_checkpoint("run", None)
    ),
    "run has no checkpoint 5": lambda _: tj.Translator.from_checkpoint("run", 5),
    "nothing has no checkpoints: train": lambda _: tj.Translator.from_checkpoint(
        "run", ensemble=[("nothing", "latest")]
    ),
    "n_best='2' must be an integer": lambda t: tj.translate_file(
        t, "in.txt", "out", n_best="2"
    ),
    "chunk_lines=1.5 must be an integer": lambda t: tj.translate_file(
        t, "in.txt", "out", chunk_lines=1.5
    ),
    "format='xml' must be": lambda t: tj.translate_file(
        t, "in.txt", "out", format="xml"
    ),
    "on_error='ignore' must be": lambda t: tj.translate_file(
        t, "in.txt", "out", on_error="ignore"
    ),
    "in.txt is an input too": lambda t: tj.translate_file(t, "in.txt", "in.txt"),
    "translator=None (NoneType) must be a Translator": lambda _: tj.translate_file(
        None, "in.txt", "out"
    ),
    # Scores.
    "targets=5 (int) must be a list": lambda t: tj.score(t, ["a"], 5),
    "2 sources but 1 targets: give one target for each": lambda t: tj.score(
        t, ["a", "b"], ["a"]
    ),
    "2 sources but 1 targets: give one target for": lambda t: tj.align(
        t, ["a", "b"], ["a"]
    ),
    "translator={} (dict) must be": lambda _: tj.align({}, ["a"], ["b"]),
    "translator=None (NoneType) must be": lambda _: tj.score_tokens(None, IDS, IDS),
    "source_ids[0]='ab' must be a list of token ids": lambda t: tj.score_tokens(
        t, ["ab"], ["ab"]
    ),
    "source_ids[0]=[1.5] must be a list of token ids": lambda t: tj.score_tokens(
        t, [[1.5]], IDS
    ),
    "source 0 has a token id outside the vocabulary of 300": lambda t: tj.score_tokens(
        t, [[999, 2]], IDS
    ),
    "target 0 has a token id outside the vocabulary of 300": lambda t: tj.score_tokens(
        t, IDS, [[-1, 2]]
    ),
    "source_ids=5 must be a list of lists of token ids": lambda t: tj.score_tokens(
        t, 5, IDS
    ),
    "pair 0 of the given pairs is ('a', 5)": lambda _: tj.evaluate(
        "run", pairs=[("a", 5)], progress=False
    ),
    "the given pairs are empty": lambda _: tj.evaluate("run", pairs=[], progress=False),
    "tokenizer=moses must be one of 13a": lambda _: tj.evaluate(
        "run", pairs=PAIRS, tokenizer="moses"
    ),
    "split='dev' must be": lambda _: tj.evaluate("run", split="dev", progress=False),
    "hypotheses='a' must be a list of sentences": lambda _: tj.corpus_bleu("a", ["a"]),
    "hypotheses=None must be a list of sentences": lambda _: tj.paper_bleu(None, ["a"]),
    "hypotheses=[5] must be a list of sentences": lambda _: tj.corpus_bleu([5], ["a"]),
    "references='a' must be a list of sentences": lambda _: tj.tokenized_bleu(
        ["a"], "a", language="de"
    ),
    "protocol=rouge must be one of sacrebleu": lambda _: tj.translation_quality(
        ["a"], [["a"]], protocol="rouge"
    ),
    "resamples=100000000000": lambda _: tj.translation_quality(
        ["a"], [["a"]], baseline=["a"], resamples=10**11
    ),
    "resamples='9' must be": lambda _: tj.translation_quality(
        ["a"], [["a"]], baseline=["a"], resamples="9"
    ),
}


@pytest.mark.parametrize("says", CALLS)
def test_a_call_is_refused(says, translator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_call(lambda: CALLS[says](translator), re.escape(says), tmp_path)
