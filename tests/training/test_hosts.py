"""Two processes with four devices each train the model of one device."""

import json

import numpy as np
import pytest
from processes import answers
from tiny_runs import reversed_pairs, tiny_config

PAIRS = {
    "train_pairs": reversed_pairs(200),
    "validation_pairs": reversed_pairs(30, seed=1),
}
KEYS = (
    "kind", "step", "loss", "nll", "bleu", "fill", "learning_rate", "gradient_norm",
    "epoch",
)  # fmt: skip

MESHES = {
    "all three": {"data": 2, "fsdp": 2, "tensor": 2},
    # Both hosts need all rows.
    "tensor across hosts": {"data": 1, "fsdp": 1, "tensor": 8},
}


def settings(num_steps: int, mesh: dict, **changes):
    """Settings with dropout, whose masks must not depend on the devices."""
    assert tiny_config().model.dropout_rate > 0
    changes = {
        **{f"mesh__{name}": size for name, size in mesh.items()},
        "model__num_heads": 8,
        "model__num_encoder_layers": 1,
        "model__num_decoder_layers": 1,
        "model__vocab_size": 296,
        "training__num_steps": num_steps,
        **changes,
    }
    return tiny_config(**changes)


def rows_of_two_updates(config, workdir) -> list:
    """Returns the source rows of updates 0 and 9, put together from all hosts."""
    import functools

    from jax.experimental import multihost_utils

    from transformer_jax.data.pipeline import make_batches, pack_corpus
    from transformer_jax.devices import sharding
    from transformer_jax.devices.mesh import make_mesh
    from transformer_jax.training.preparation import prepare

    mesh = make_mesh(config.mesh)
    data = prepare(config, workdir, **PAIRS)
    packed = pack_corpus(data.train, config.data, seed=config.training.seed)
    found = []
    for step in (0, 9):
        batches = make_batches(
            data.train, packed, config.data, seed=config.training.seed, start_step=step,
            rows_of_host=functools.partial(sharding.rows_of_host, mesh=mesh),
        )  # fmt: skip
        batch = sharding.make_global(next(batches), mesh)
        whole = multihost_utils.process_allgather(batch.source, tiled=True)
        found.append(np.asarray(whole).tolist())
    return found


PROGRAM = """
from test_hosts import PAIRS, rows_of_two_updates, settings
from transformer_jax.training.train import train
workdir, (mesh, updates, bleu) = sys.argv[5], json.loads(sys.argv[6])
for num_steps in updates:  # It goes on from its checkpoint.
    config = settings(
        num_steps, mesh,
        training__evaluate_every_steps=2, training__validation_bleu_sentences=bleu,
    )
    pairs = PAIRS if bleu else {"train_pairs": PAIRS["train_pairs"]}
    result = train(config, workdir, progress=False, **pairs)
answer({
    "history": result.history,
    "translations": result.translator.translate(["ba be", "do"]) if bleu else None,
    "rows": rows_of_two_updates(config, workdir),
})
"""


def run(workdir, mesh, *, processes, devices, updates=(2, 4), bleu=6) -> list[dict]:
    """Returns what each process says of a run, and of going on with it."""
    arguments = json.dumps([mesh, updates, bleu])
    return answers(
        PROGRAM, workdir, arguments, num_processes=processes, num_devices=devices
    )


def assert_same(found: dict, expected: dict) -> None:
    """Asserts that the rows are the same, and the numbers to float tolerance."""
    assert found["rows"] == expected["rows"]
    assert found["translations"] == expected["translations"]
    assert len(found["history"]) == len(expected["history"])
    for line, wanted in zip(found["history"], expected["history"], strict=True):
        assert line.keys() == wanted.keys()
        for key in set(KEYS) & set(line):
            value = wanted[key]
            close = isinstance(value, float)
            assert line[key] == (pytest.approx(value, rel=1e-4) if close else value)


REFUSALS = """
from test_hosts import PAIRS, settings
from transformer_jax.errors import InputError
from transformer_jax.training import start
from transformer_jax.training.train import train
assert start._VISIBLE_SECONDS
start._VISIBLE_SECONDS = 0
workdir, told = sys.argv[5], []
for folder, changes in (
    ("one", {"training__seed": rank}),
    (f"of {rank} alone", {}),
    ("two", {"model__vocab_size": 5_000}),
    ("three", {"mesh__data": 3}),
):
    try:
        config = settings(4, {}, **changes)
        train(config, f"{workdir}/{folder}", progress=False, **PAIRS)
        told.append(None)
    except InputError as error:
        told.append(str(error))
answer(told)
"""


@pytest.mark.slow
def test_what_cannot_be_trained_together_is_refused_by_all(tmp_path):
    first, second = answers(REFUSALS, tmp_path, num_processes=2, num_devices=1)
    seed = "training.seed is 0 in process 0 and 1 in process 1. Start all with the same"
    hidden = "does not show here what the primary has written there"
    for told, expected in (
        (
            first,
            (
                seed,
                f"process 1 failed: workdir={tmp_path}/of 1 alone",
                "5000",
                "data=3",
            ),
        ),
        (second, (seed, f"{tmp_path}/of 1 alone {hidden}", "process 0 failed: ", "=3")),
    ):
        for message, part in zip(told, expected, strict=True):
            assert part in message
    assert second[2] == f"process 0 failed: {first[2]}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["of 0 alone"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "mesh",
    [
        MESHES["all three"],
        pytest.param(MESHES["tensor across hosts"], marks=pytest.mark.long),
    ],
    ids=MESHES,
)
def test_hosts_and_meshes_change_nothing(tmp_path, mesh, one_device):
    for found in run(tmp_path / "two", mesh, processes=2, devices=4):
        assert_same(found, one_device)
        # Nothing that hosts say to each other is compiled between two updates.
        lines = [line for line in found["history"] if line["kind"] == "train"]
        assert lines[0]["compile_count"] == lines[1]["compile_count"]


@pytest.fixture(scope="module")
def one_device(tmp_path_factory) -> dict:
    (found,) = run(tmp_path_factory.mktemp("one"), {}, processes=1, devices=1)
    return found
