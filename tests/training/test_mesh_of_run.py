"""A run says on which devices it is, and whether it was on others before."""

import logging
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from continued_runs import eight_steps

from transformer_jax.checkpoints.errors import DamagedCheckpoint
from transformer_jax.checkpoints.reader import StoredCheckpoints
from transformer_jax.config.experiment import MeshConfig
from transformer_jax.data.packing import pack_pairs
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.training.mesh_of_run import tell_mesh
from transformer_jax.training.run_record import (
    RunRecord,
    order_of_rows,
    position_at_start,
)


def said(caplog, mesh, before):
    start = SimpleNamespace(step=8, record=RunRecord(mesh=before))
    caplog.clear()
    with caplog.at_level(logging.INFO):
        tell_mesh(mesh, start)
    return caplog.text


def test_a_checkpoint_has_the_mesh_it_was_written_on():
    workdir, result = eight_steps()
    stored = RunRecord.from_dict(StoredCheckpoints(workdir).run_record(8)).mesh
    leaf = jax.tree.leaves(result.state.params)[0]
    assert stored == dict(leaf.sharding.mesh.shape)


def test_another_mesh_is_told_and_the_same_one_is_not(caplog):
    mesh = make_mesh(MeshConfig(data=1), jax.devices()[:2])
    text = said(caplog, mesh, {"data": 2, "fsdp": 1, "tensor": 1})
    assert "on 2 CPU devices: mesh.data=1, mesh.fsdp=2, mesh.tensor=1" in text
    assert "step 8 was written on another mesh, mesh.data=2, mesh.fsdp=1" in text
    for same in (dict(mesh.shape), None):
        assert "another mesh" not in said(caplog, mesh, same)


def test_pairs_in_other_rows_are_told(caplog):
    """Of a checkpoint whose version had another packing, and did not say so."""
    workdir, _ = eight_steps()
    stored = StoredCheckpoints(workdir).run_record(8)
    config = StoredCheckpoints(workdir).config(8)
    lengths = np.array([3, 4])
    packed = pack_pairs(lengths, lengths, 8, 8)
    now = position_at_start(config, packed, stored["position"]["training_text"])
    for change in (lambda position: None, lambda position: position.pop("packing")):
        assert "other pairs" not in caplog.text
        change(stored["position"])
        order_of_rows(config, packed, now, RunRecord.from_dict(stored), 8)
    assert "other pairs into a row" in caplog.text


def test_a_damaged_mesh_is_told():
    with pytest.raises(DamagedCheckpoint, match="a mesh that is none"):
        RunRecord.from_dict({"mesh": 3})
