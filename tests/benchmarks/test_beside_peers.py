"""The scripts that measure beside other toolkits, at tiny sizes and without these."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import side_by_side
import train_beside_peers
from compile_flags import FLAGS

from transformer_jax.data.corpus import make_corpus

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("packing", "train_beside_peers", "translate_beside_peers")
each_script = pytest.mark.parametrize("script", SCRIPTS)


def run(script, *arguments):
    environment = {
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": " ".join(FLAGS[1:]),  # Without eight devices.
    }
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks" / f"{script}.py", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


def report_of(script, *arguments):
    ended = run(script, "--tiny", *arguments)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["hardware"]["cores"] == os.cpu_count()
    assert report["command"].endswith(" ".join(map(str, ["--tiny", *arguments])))
    return report


@pytest.mark.slow
@each_script
def test_help(script):
    ended = run(script, "--help")
    assert ended.returncode == 0, ended.stderr
    assert "--tiny" in ended.stdout


@pytest.fixture
def text(tmp_path):
    rng = np.random.default_rng(0)
    words = ["a", "dog", "house", "runs", "red", "man", "two", "park", "on", "the"]
    paths = tmp_path / "train.en", tmp_path / "train.de"
    for path in paths:
        lines = (" ".join(rng.choice(words, rng.integers(3, 9))) for _ in range(300))
        path.write_text("\n".join(lines) + "\n")
    return "--source", str(paths[0]), "--target", str(paths[1])


@pytest.mark.long
def test_training_of_made_up_token_ids():
    report = report_of("train_beside_peers")
    assert report["text"] == "made-up token ids"
    (rounds,) = report["rounds"].values()
    assert all(each["target_tokens"] > 0 for each in rounds)
    # Of a model that knows nothing: about as for equal probabilities.
    assert rounds[0]["loss"] == pytest.approx(np.log(64), rel=0.5)


@pytest.mark.long
def test_translation_has_the_wanted_number_of_tokens():
    report = report_of("translate_beside_peers")
    assert report["sentences_as_the_first"]["transformer_jax, float32"] == 4
    for rounds in report["rounds"].values():
        assert [each["output_tokens"] for each in rounds] == [4 * 8, 4 * 8]


@pytest.mark.slow
def test_packing_of_text(text):
    report = report_of("packing", *text, "--vocab-size", "290")
    assert report["num_pairs"] == 300
    assert all(0.5 < each["fill"] <= 1 for each in report["fill"])
    assert report["packing"]["fill"] > 0.95
    fills = [each["fill"] for each in report["pipelines"].values()]
    assert len(fills) == 3
    assert all(0.5 < fill <= 1 for fill in fills)


@pytest.mark.slow
@each_script
@pytest.mark.parametrize("arguments", [("--rounds",), ("--source", "one_file")])
def test_arguments_that_make_no_sense_end_the_script(script, arguments):
    assert run(script, *arguments).returncode == 2


def test_padded_batches_have_every_pair_once_an_epoch():
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 9, (2, 40))
    ids = [[[*range(10, 9 + n), 2] for n in side] for side in sizes]
    corpus = make_corpus(*ids, bos_id=1, pad_id=0)
    batches = train_beside_peers.batches_of_like_length(corpus, target_tokens=40)
    seen = []
    while len(seen) < 40:
        batch = next(batches)
        assert batch["target_lengths"].sum() <= 40 + 8
        for side in ("source", "target"):
            real = np.arange(batch[side].shape[1]) < batch[f"{side}_lengths"][:, None]
            np.testing.assert_array_equal(batch[side] != 0, real)
        lengths = batch["source_lengths"], batch["target_lengths"]
        seen += zip(*(each.tolist() for each in lengths), strict=True)
    assert sorted(seen) == sorted(zip(*sizes.tolist(), strict=True))


def _prepare(work):
    started = time.process_time()

    def run():
        while time.process_time() < started + 0.01:
            pass
        return {"work": work, "seconds": 1.0, "process": os.getpid()}

    return run


def _prepare_missing():
    import a_package_that_nobody_has  # noqa: F401


def _prepare_broken():
    raise RuntimeError("out of luck")


def test_toolkits_take_turns_in_processes_of_their_own():
    measured = side_by_side.measure_in_turn(
        {
            "ours": (_prepare, {"work": 6}),
            "theirs": (_prepare, {"work": 3}),
            "missing": (_prepare_missing, {}),
        },
        num_rounds=3,
    )
    assert measured["left_out"] == {
        "missing": "a_package_that_nobody_has is not installed"
    }
    rounds = measured["rounds"]
    processes = [{each["process"] for each in those} for those in rounds.values()]
    assert len(processes) == 2
    assert len({os.getpid()}.union(*processes)) == 3
    found = side_by_side.summarise(rounds, "work")
    assert found["theirs"]["work_per_second"] == {
        "median": 3.0, "least": 3.0, "most": 3.0,
    }  # fmt: skip
    assert found["theirs"]["first_to_this_per_second"]["median"] == 2.0
    assert all(each["cpu_seconds"] > 0 for each in rounds["ours"])


def test_a_toolkit_that_fails_ends_the_measurement():
    with pytest.raises(SystemExit, match="out of luck"):
        side_by_side.measure_in_turn({"broken": (_prepare_broken, {})}, num_rounds=1)
