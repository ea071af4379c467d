"""A full disk is told by the name of the file, and leaves nothing half written."""

import errno
import os

import pytest
from tiny_runs import reversed_pairs, trained_run

import transformer_jax as tj
from transformer_jax.data import corpus_files
from transformer_jax.storage.directory_lock import lock_directory
from transformer_jax.storage.work_directory import work_directory, write_whole


def refuse(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_while_a_corpus_is_written(tmp_path, monkeypatch):
    tokenizer = trained_run().result.translator.tokenizer
    monkeypatch.setattr(corpus_files._SideWriter, "append", refuse)
    with pytest.raises(tj.InputError, match=r"corpus/train: cannot be written \(No sp"):
        corpus_files.write_corpus(
            reversed_pairs(3), tokenizer, tmp_path / "corpus/train"
        )
    assert not list((tmp_path / "corpus").iterdir())


def test_while_a_lock_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "pwrite", refuse)
    lock = lock_directory(work_directory(tmp_path / "run"))
    with pytest.raises(tj.InputError, match=r"lock\.json: cannot be written \(No sp"):
        lock.__enter__()
    assert not (tmp_path / "run").exists()


def test_while_weights_are_written(tmp_path, monkeypatch):
    safetensors = pytest.importorskip("safetensors", reason="an extra")

    def refuse_its_way(*_, **__):
        raise safetensors.SafetensorError("Error: No space left on device")

    workdir = trained_run().workdir
    monkeypatch.setattr("safetensors.numpy.save_file", refuse_its_way)
    with pytest.raises(tj.InputError, match=r"/hf: cannot be written \(.*No space"):
        tj.export_model(workdir, tmp_path / "hf", compare=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="of Linux")
def test_while_a_device_is_written(tmp_path):
    path = tmp_path / "table.svg"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(work_directory(path), b"a")
    assert caught.value.filename == str(path)
