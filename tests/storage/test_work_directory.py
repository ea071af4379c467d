"""Work directories in an object store: what is written there, and how."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from buckets import mount
from processes import answers
from tiny_runs import reversed_pairs, tiny_config

from transformer_jax.checkpoints.setting_aside import set_aside
from transformer_jax.cli import main
from transformer_jax.config.reading import config_to_dict, load_config
from transformer_jax.errors import InputError
from transformer_jax.storage import directory_lock
from transformer_jax.storage.work_directory import (
    local_cache,
    work_directory,
    write_whole,
)
from transformer_jax.training import reporting
from transformer_jax.training.metrics_file import read_metrics
from transformer_jax.training.preparation import prepare
from transformer_jax.training.reporting import Reporter
from transformer_jax.training.start import write_config

RUN = "gs://bucket/runs/one"


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """A bucket, and a cache for it."""
    monkeypatch.setenv("TRANSFORMER_JAX_CACHE", str(tmp_path / "cache"))
    return mount(monkeypatch, tmp_path / "store")


def test_paths_on_disk_are_absolute_and_others_as_they_are(bucket, monkeypatch):
    monkeypatch.chdir("/")
    assert os.fspath(work_directory("runs/one")) == "/runs/one"
    assert os.fspath(work_directory(Path("runs/one"))) == "/runs/one"
    assert os.fspath(work_directory(RUN)) == RUN
    assert os.fspath(work_directory(work_directory(RUN)) / "a") == f"{RUN}/a"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("ftp://host/run", "ftp://host/run is in no store this package knows"),
        (Path("gs://bucket/run"), "gs:/bucket/run has lost a slash"),
    ],
)
def test_paths_that_cannot_be_used_are_refused(path, message):
    with pytest.raises(InputError, match=message):
        work_directory(path)


def test_a_client_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    from etils.epath import backend

    backend._FileSystemSpecBackend._get_filesystem.cache_clear()
    with pytest.raises(InputError, match=r"pip install 'transformer-jax\[gcs\]'"):
        work_directory(RUN)


@pytest.mark.parametrize("where", ["bucket", "disk"])
def test_files_are_written_whole(bucket, tmp_path, where):
    path = work_directory(RUN if where == "bucket" else tmp_path) / "file"
    for contents in (b"one", b"other"):
        write_whole(path, contents)
        assert path.read_bytes() == contents
    assert [found.name for found in path.parent.glob("file*")] == ["file"]


def test_links_are_written_through_and_devices_never_replaced(tmp_path):
    real, link = tmp_path / "elsewhere" / "real", tmp_path / "link"
    real.parent.mkdir()
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_whole(work_directory(link), b"new")
    assert (link.is_symlink(), real.read_bytes()) == (True, b"new")
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_whole(work_directory(pipe), b"new")
    reader.join()
    assert (read, pipe.is_fifo()) == ([b"new"], True)


def test_a_tilde_is_the_home_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert os.fspath(work_directory("~/runs/one")) == f"{tmp_path}/runs/one"


@pytest.mark.parametrize(("name", "said"), [("", "is empty"), ("file", "File exists")])
def test_no_directory_can_be_made_there(name, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "a").write_text("ba\n")
    for command in ("train", "prepare"):
        texts = [f"--data.train-{side}-path=a" for side in ("source", "target")]
        texts.append("--data.batch-tokens=3072")
        assert main([command, "own_pairs", "--workdir", name, *texts]) == 2
        assert said in capsys.readouterr().err.splitlines()[-1]
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "file"]


def test_settings_are_read_where_they_were_written(bucket):
    config = tiny_config(training__seed=3)
    write_config(config, work_directory(RUN))
    assert config_to_dict(load_config(f"{RUN}/config.json")) == config_to_dict(config)


def without_locks(bucket) -> list[str]:
    """What was written, but for the lock and its heartbeats."""
    return [name for name in bucket.written if not name.endswith("/lock.json")]


def test_hosts_share_tokenizer_and_corpus_through_the_bucket(bucket, monkeypatch):
    monkeypatch.setattr(directory_lock, "_SETTLING_SECONDS", 0.0)
    config, pairs = tiny_config(), reversed_pairs(50)
    first = prepare(config, RUN, train_pairs=pairs)
    written = without_locks(bucket)
    assert written[:2] == [
        "bucket/runs/one/tokenizer.json", "bucket/runs/one/tokenizer.model"
    ]  # fmt: skip
    # Who finds a manifest finds all of the corpus.
    assert written[-1] == "bucket/runs/one/corpus/train/manifest.json"
    assert len(written) == 7
    # The same host again, then another one.
    for cache in (None, f"{bucket.root}/../other cache"):
        if cache is not None:
            monkeypatch.setenv("TRANSFORMER_JAX_CACHE", cache)
        again = prepare(config, RUN, train_pairs=pairs)
        assert without_locks(bucket) == written, "nothing is made a second time"
        assert again.tokenizer == first.tokenizer
        np.testing.assert_array_equal(
            again.train.source.tokens, first.train.source.tokens
        )
        assert isinstance(again.train.source.tokens, np.memmap)
    changed = prepare(config, RUN, train_pairs=pairs[:-1])
    assert changed.train.num_pairs == 49
    assert len(without_locks(bucket)) == 7 + 7, "another text is stored anew"


def test_lines_are_in_the_bucket_from_time_to_time(bucket, monkeypatch):
    told = Reporter(RUN, num_steps=10, start_step=0, progress=False)
    numbers = {"loss": 1.0, "learning_rate": 1.0, "target_tokens_per_second": 1.0}
    told.report("train", 1, numbers)
    assert read_metrics(RUN) == []
    told.flush()
    assert read_metrics(RUN) == told.history
    told.report("train", 2, numbers)
    monkeypatch.setattr(reporting, "_REWRITE_SECONDS", 0.0)
    told.report("train", 3, numbers)
    assert read_metrics(RUN) == told.history
    told.report("train", 4, numbers)
    told.close()
    lines = (work_directory(RUN) / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]
    (events,) = work_directory(RUN).glob("events.*")
    assert b"train/loss" in events.read_bytes()


def test_a_checkpoint_in_a_bucket_is_set_aside(bucket):
    run = work_directory(RUN)
    for _ in range(2):
        (run / "checkpoints" / "3" / "file").write_text("whole")
        set_aside(run, run / "checkpoints" / "3")
    left = sorted(os.fspath(path.relative_to(run)) for path in run.glob("*/*/file"))
    assert left == ["set_aside/3-2/file", "set_aside/3/file"]


def test_each_bucket_has_a_cache_of_its_own(bucket):
    paths = [work_directory(f"gs://{name}/train") for name in ("a", "b")]
    first, second = map(local_cache, paths)
    assert first != second
    assert first.name.startswith("train-")


RUN_IN_A_BUCKET = """
import types
from pathlib import Path
import numpy as np
import pytest
from buckets import mount
from processes import answers
from gcs_server import serve

folder, RUN = Path(sys.argv[5]), sys.argv[6]
address = serve(folder / "store")
os.environ["TENSORSTORE_GCS_HTTP_URL"] = address
os.environ["GCE_METADATA_ROOT"] = address.removeprefix("http://")  # Who is nobody.
mount(pytest.MonkeyPatch(), folder / "store")
# Orbax asks it one question before it removes a checkpoint.
plain = types.SimpleNamespace(hierarchical_namespace_enabled=False)
client = types.SimpleNamespace(get_bucket=lambda name: plain)
cloud = types.ModuleType("google.cloud")
cloud.storage = types.ModuleType("google.cloud.storage")
cloud.storage.Client = lambda: client
sys.modules |= {"google.cloud": cloud, "google.cloud.storage": cloud.storage}

import jax
from tiny_runs import reversed_pairs, tiny_config
from transformer_jax.checkpoints.averaging import average_checkpoints
from transformer_jax.training.train import train
from transformer_jax.translation.translator import Translator

for num_steps in (4, 6):
    config = tiny_config(
        training__num_steps=num_steps, training__checkpoint_every_steps=1,
        training__keep_last=2,
    )
    result = train(config, RUN, train_pairs=reversed_pairs(50), progress=False)
steps = [line["step"] for line in result.history]
translator = Translator.from_checkpoint(RUN)
jax.tree.map(np.testing.assert_array_equal, translator.params, result.state.params)
average = str(average_checkpoints(RUN, 2))
Translator.from_checkpoint(RUN, "average")
answer([steps, average])
"""


@pytest.mark.long
def test_a_run_lives_in_a_bucket(tmp_path):
    """Trains, goes on, removes old checkpoints, averages and loads what is left."""
    cache = str(tmp_path / "cache")
    (told,) = answers(
        RUN_IN_A_BUCKET, tmp_path, RUN,
        num_processes=1, num_devices=2, TRANSFORMER_JAX_CACHE=cache,
    )  # fmt: skip
    assert told == [[1, 2, 3, 4, 5, 6], f"{RUN}/average/6"]
    run = tmp_path / "store" / "bucket" / "runs" / "one"
    left = {path.parent.name for path in run.glob("checkpoints/*/commit_success.txt")}
    assert left == {"5", "6"}
    assert not list(run.glob("checkpoints/[1-4]/**/*"))
