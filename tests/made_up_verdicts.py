"""Verdicts on rows of Table 3 without a run."""

import functools
import json
import os

from transformer_jax.reproduction.scaling import Scale, scale_settings, target_settings
from transformer_jax.reproduction.scores import Score
from transformer_jax.reproduction.targets import find_target
from transformer_jax.reproduction.verdict import make_verdict

_SCALE = Scale(updates=0.01)


def made_up_verdict(row, score, **changes):
    """Returns a verdict on a hundredth of a run, as `reproduce` makes them."""
    return json.loads(_verdict_text(row, score)) | changes


@functools.cache
def _verdict_text(row, score):
    target = find_target(row if row.startswith("table2") else f"table3-{row}")
    config = scale_settings(target_settings(target), target, _SCALE)
    measured = {
        "perplexity_per_subword": 100 / score,
        "perplexity_per_word": 200 / score,
        "averaged_steps": [],
        "train_digest": "t",
        "num_parameters": 5_000_000,
        "num_updates": 3000 if row == "big" else 1000,
        "source_tokens": 10,
        "target_tokens": 12,
        "training_flops": 3 * 10**19,
        "training_hours": 0.5,
        "hardware": "1 x CPU",
        "versions": {"transformer_jax": "0.1.0"},
        "config_digest": "c" * 64,
        "seed": 0,
        "text": "val.en",
        "text_digest": "a",
    }
    scores = [Score("BLEU", score, (score - 1, score + 1), "nrefs:1|case:mixed")]
    return json.dumps(make_verdict(target, config, _SCALE, scores, 100, measured))


def write_verdict(folder, row, score, **changes):
    """Writes one into a directory that is made; returns the directory."""
    folder.mkdir(parents=True)
    text = json.dumps(made_up_verdict(row, score, **changes))
    (folder / "verdict.json").write_text(text)
    return folder


def _changed(**changes):
    return lambda text: json.dumps(json.loads(text) | changes)


def _without(name):
    return lambda text: json.dumps(
        {k: v for k, v in json.loads(text).items() if k != name}
    )


def _in_scores(**changes):
    def damage(text):
        verdict = json.loads(text)
        verdict["scores"][0] |= changes
        return json.dumps(verdict)

    return damage


_WHOLE_SCALE = {"updates": 0.01, "width": 1.0, "depth": 1.0}
_DAMAGES = {
    "nothing": lambda text: "",
    "cut": lambda text: text[:100],
    "not UTF-8": lambda text: b"\xff\xfe",
    "nested": lambda text: "[" * 100_000,
    "other values": lambda text: "[1]",
    "twice": lambda text: text.replace("{", '{"seed": 1,', 1),
    "pipe": None,
    **{f"without {name}": _without(name) for name in made_up_verdict("base", 20.0)},
    "no scores": _changed(scores=[]),
    "no interval": _in_scores(interval=[]),
    "turned interval": _in_scores(interval=[3.0, 2.0]),
    "another score": _in_scores(value=19.0),
    "score nan": _changed(score=float("nan")),
    "score inf": _changed(score=float("inf")),
    "score 1e308": _changed(score=1e308),
    "perplexity x": _changed(perplexity_per_word="x"),
    "perplexity 0": _changed(perplexity_per_subword=0),
    "perplexity inf": _changed(perplexity_per_subword=float("inf")),
    "seed true": _changed(seed=True),
    "seed 1.0": _changed(seed=1.0),
    "hours true": _changed(training_hours=True),
    "versions": _changed(versions={}),
    "version 1": _changed(versions={"jax": 1}),
    "parameters": _changed(num_parameters=10**400),
    "flops": _changed(training_flops=10**400),
    "sentences": _changed(num_sentences=-5),
    "steps": _changed(averaged_steps=[1, True]),
    "scale true": _changed(scale=_WHOLE_SCALE | {"updates": True}),
    "scale 0": _changed(scale=_WHOLE_SCALE | {"width": 0}),
    "scale with more": _changed(scale=_WHOLE_SCALE | {"length": 1.0}),
    "chosen": _changed(chosen={"a": ["b"]}),
    "surrogate": _changed(chosen={"\ud800": "1"}),
    "surrogate text": _changed(text="\udcff"),
    "met 1": _changed(is_met=1),
    "another target": _changed(target="table3-A1"),
    "no target": _changed(target="table9"),
}
DAMAGES = tuple(_DAMAGES)


def damage_verdict(path, name):
    """Damages a verdict in one of the ways of `DAMAGES`."""
    damage, text = _DAMAGES[name], path.read_text()
    if damage is None:
        path.unlink()
        os.mkfifo(path)
        return
    changed = damage(text)
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
