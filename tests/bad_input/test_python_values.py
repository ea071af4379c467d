"""Values of the wrong kind in the place of sentences, paths, pairs and numbers."""

import numpy as np
import pytest
from refusals import check_call
from tiny_runs import reversed_pairs, tiny_config, trained_run

import transformer_jax as tj

PAIRS = reversed_pairs(3)

# What the line has to say, as a pattern, and the call that it answers.
WRONG = {
    r"sentences\[0\]=None \(NoneType\) must be": lambda t: t.translate([None]),
    r"sentences\[1\]=nan \(float\) must be": lambda t: t.translate(["a", np.nan]),
    r"sentences\[0\]=b'a' \(bytes\) must": lambda t: t.translate([b"a"]),
    r"sentences\[0\]=array.* \(ndarray\) must": lambda t: t.translate(
        np.array([["a"], ["b"]])
    ),
    r"sentences='a' is one string": lambda t: t.translate("a"),
    r"sentences=b'a' is one string": lambda t: t.translate(b"a"),
    r"sentences=None \(NoneType\) must be a list": lambda t: t.translate(None),
    r"sentences=5 \(int\) must be a list": lambda t: t.translate(5),
    r"sentences=\{'a'\} \(set\) must be a list": lambda t: t.translate({"a"}),
    r"sentences=\{'a': 1\} \(dict\) must be": lambda t: t.translate({"a": 1}),
    r"prefixes\[0\]=None": lambda t: t.translate(["a"], prefixes=[None]),
    r"prefixes='ba' is one string": lambda t: t.translate(["a"], prefixes="ba"),
    r"1 prefixes for 2": lambda t: t.translate(["a", "b"], prefixes=iter("a")),
    r"source=\['a'\] \(list\) must be one string": lambda t: t.attention(["a"], ["b"]),
    r"target=None \(NoneType\) must": lambda t: t.attention("a", None),
    r"targets\[0\]=None \(NoneType\) must": lambda t: tj.score(t, ["a"], [None]),
    r"sources='a' is one string": lambda t: tj.align(t, "a", ["b"]),
    r"translator='runs/x' \(str\) must be": lambda _: tj.score("runs/x", ["a"], ["b"]),
    r"beam_size=2.0 must be an integer": lambda t: t.translate(["a"], beam_size=2.0),
    r"beam_size=True must be": lambda t: t.translate(["a"], beam_size=True),
    r"half of a surrogate pair": lambda t: t.translate(["\ud800"]),
    r"directory is None \(NoneType\): give": lambda _: tj.Translator.from_checkpoint(
        None
    ),
    r"directory is 5 \(int\): give a path": lambda _: tj.Translator.from_checkpoint(5),
    r"configuration is None \(NoneType\)": lambda _: tj.load_config(None),
    r"input is \['a'\] \(list\)": lambda t: tj.translate_file(t, ["a"], None),
    r"output is 5 \(int\)": lambda t: tj.translate_file(t, "a", 5),
    r"directory is None": lambda _: tj.read_metrics(None),
    r"last='2' must be an integer": lambda _: tj.average_checkpoints(
        trained_run().workdir, "2"
    ),
    r"steps='9' must be": lambda _: tj.average_checkpoints(
        trained_run().workdir, steps=["9"]
    ),
    r"minutes='1' must be a number": lambda _: tj.average_checkpoints(
        trained_run().workdir, minutes="1"
    ),
    r"directory is None .*: give a path": lambda _: tj.train(
        tiny_config(), None, train_pairs=PAIRS
    ),
    r"config=\{\} must be an ExperimentConfig": lambda _: tj.train({}, "w"),
    r"pair 0 of train pairs is \('a', None\)": lambda _: tj.train(
        tiny_config(), "w", train_pairs=[("a", None)]
    ),
    r"pair 1 of train pairs is \('a', 5\)": lambda _: tj.prepare(
        tiny_config(), "w", train_pairs=[("a", "b"), ("a", 5)]
    ),
    r"pair 0 of the given pairs is 'ab'": lambda _: tj.evaluate(
        trained_run().workdir, pairs=["ab"], progress=False
    ),
    r"model.num_heads='8' must be an integer": lambda _: tj.ModelConfig(num_heads="8"),
    r"num_steps=100000.0 must be": lambda _: tj.TrainingConfig(num_steps=1e5),
}


@pytest.mark.parametrize("says", WRONG)
def test_a_value_is_named(says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    translator = trained_run().result.translator
    check_call(lambda: WRONG[says](translator), says, tmp_path)
