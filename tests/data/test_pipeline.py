"""Batch k is a function of (corpus, seed, k), on any number of hosts."""

import itertools
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from transformer_jax.config.experiment import DataConfig
from transformer_jax.data import pipeline
from transformer_jax.data.batch import Batch
from transformer_jax.data.corpus import Corpus, make_corpus
from transformer_jax.data.pipeline import (
    RowOrder,
    evaluation_batches,
    make_batches,
    pack_corpus,
)
from transformer_jax.errors import InputError

PAD, BOS, EOS = 0, 1, 2


def numbered_corpus(number: int = 300, longest: int = 14, seed: int = 0) -> Corpus:
    """Pair i begins with token 10 + i on both sides, which names it."""
    lengths = np.random.default_rng(seed).integers(1, longest, (2, number))
    sides = [[[10 + i] * n + [EOS] for i, n in enumerate(side)] for side in lengths]
    return make_corpus(*sides, bos_id=BOS, pad_id=PAD)


def config(rows: int = 8, length: int = 24, **settings) -> DataConfig:
    return DataConfig(
        source_length=length,
        target_length=length,
        batch_tokens=rows * length,
        prefetch_batches=3,
        **settings,
    )


def take(batches, number: int) -> list[Batch]:
    return list(itertools.islice(batches, number))


def pairs_in(batch: Batch) -> Counter:
    """How often each pair is in the batch; both sides must agree."""
    begins = (batch.target_positions == 0) & (batch.target_segments > 0)
    found = Counter((batch.target_labels[begins] - 10).tolist())
    begins = (batch.source_positions == 0) & (batch.source_segments > 0)
    assert found == Counter((batch.source[begins] - 10).tolist())
    return found


def same(first: Batch, second: Batch) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return numbered_corpus()


def test_each_epoch_uses_every_pair_once_with_no_remainder(corpus):
    # One row a batch, so that epochs end where batches do.
    single = config(rows=1)
    packed = pack_corpus(corpus, single, seed=0)
    assert packed.num_rows % 8, "the case of a remainder is the one of interest"
    batches = make_batches(corpus, packed, single, seed=0)
    orders = []
    for _ in range(3):
        epoch = take(batches, packed.num_rows)
        assert sum(map(pairs_in, epoch), Counter()) == Counter(range(300))
        orders.append([tuple(batch.source[0]) for batch in epoch])
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_batches_span_epochs(corpus):
    single, eight = config(rows=1), config(rows=8)
    packed = pack_corpus(corpus, eight, seed=0)
    number = 3 * packed.num_rows // 8
    rows = take(make_batches(corpus, packed, single, seed=0), 8 * number)
    batches = take(make_batches(corpus, packed, eight, seed=0), number)
    for k, batch in enumerate(batches):
        joined = Batch(*map(np.concatenate, zip(*rows[8 * k : 8 * k + 8], strict=True)))
        assert same(batch, joined)


def test_starting_at_k_is_skipping_k(corpus):
    settings = config()
    packed = pack_corpus(corpus, settings, seed=0)
    skipped = take(make_batches(corpus, packed, settings, seed=4), 40)[25:]
    started = take(
        make_batches(corpus, packed, settings, seed=4, start_step=25), len(skipped)
    )
    assert all(map(same, skipped, started))


@pytest.mark.parametrize("start", [{"start_step": -1}, {"first_row": -1}])
def test_batches_before_the_first_are_refused(start):
    corpus = numbered_corpus()
    packed = pack_corpus(corpus, config(), seed=0)
    (name,) = start
    with pytest.raises(InputError, match=f"{name}=-1"):
        make_batches(corpus, packed, config(), seed=0, **start)
    # Update 2 of a run whose data begin anew there.
    again = make_batches(corpus, packed, config(), seed=0, start_step=2, first_row=-16)
    assert same(next(again), next(make_batches(corpus, packed, config(), seed=0)))


def test_starting_very_late_is_immediate(corpus):
    settings = config()
    packed = pack_corpus(corpus, settings, seed=0)
    late = make_batches(corpus, packed, settings, seed=4, start_step=10**12)
    assert next(late).source.shape == (8, 24)


def test_starting_late_builds_and_draws_no_more_than_starting_at_0(corpus):
    packed = pack_corpus(corpus, config(), seed=0)
    for start in (0, 10**6):
        built = []
        batches = pipeline._prefetch(
            lambda k, built=built: built.append(k) or k, start, sys.maxsize, 3
        )
        assert next(batches) == start
        assert min(built) == start
        assert len(built) <= 2 * 3 + 1
        order = RowOrder(packed.num_rows, 8, seed=start + 99)
        order.rows_of(start)
        assert order.permutations.num_drawn <= 2


@pytest.mark.parametrize(("target_words", "advised"), [(1, False), (2, True)])
def test_lengths_that_do_not_suit_the_text_are_named(caplog, target_words, advised):
    sources = [[10, EOS]] * 96
    targets = [[10] * (2 * target_words - 1) + [EOS]] * 96
    text = make_corpus(sources, targets, bos_id=BOS, pad_id=PAD)
    with caplog.at_level("INFO"):
        pack_corpus(text, config(length=32), seed=0)
    fill = 100 if target_words == 1 else 75
    assert f"{fill}.0% of the positions in rows hold tokens" in caplog.text
    advice = "data.source_length=16, data.target_length=32"
    assert (advice in caplog.text) == advised


def test_another_seed_is_another_order(corpus):
    settings = config()
    packed = pack_corpus(corpus, settings, seed=0)
    first, other = (
        next(make_batches(corpus, packed, settings, seed=s)) for s in (0, 1)
    )
    assert not same(first, other)


def corners(height):
    """The rows of a host whose devices are not neighbours: a quarter at each end."""
    return np.concatenate([np.arange(height // 4), np.arange(height * 3 // 4, height)])


HOSTS = {
    "the second half": lambda height: np.arange(height // 2, height),
    "both ends": corners,
    "all, as another host too": np.arange,
}
each_host = pytest.mark.parametrize("rows_of_host", HOSTS.values(), ids=HOSTS)


@each_host
def test_hosts_take_their_rows_of_the_same_global_batch(corpus, rows_of_host):
    settings = config()
    packed = pack_corpus(corpus, settings, seed=0)

    def batches(**part):
        return take(
            make_batches(corpus, packed, settings, seed=1, start_step=5, **part), 12
        )

    places = rows_of_host(settings.rows)
    for mine, whole in zip(batches(rows_of_host=rows_of_host), batches(), strict=True):
        assert same(mine, Batch(*(field[places] for field in whole)))


def test_a_corpus_smaller_than_a_batch():
    corpus = numbered_corpus(5)
    settings = config(rows=32)
    packed = pack_corpus(corpus, settings, seed=0)
    assert packed.num_rows < 16
    batches = take(make_batches(corpus, packed, settings, seed=0), packed.num_rows)
    assert all(batch.source.shape == (32, 24) for batch in batches)
    # 32 epochs in all.
    assert sum(map(pairs_in, batches), Counter()) == Counter(
        dict.fromkeys(range(5), 32)
    )


SCRIPT = """
import hashlib, itertools, sys
sys.path.insert(0, {folder!r})
from test_pipeline import config, numbered_corpus
from transformer_jax.data.pipeline import make_batches, pack_corpus
corpus = numbered_corpus()
packed = pack_corpus(corpus, config(), seed=3)
digest = hashlib.sha256()
for batch in itertools.islice(make_batches(corpus, packed, config(), seed=3), 60):
    for field in batch:
        digest.update(field.tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_other_processes_read_the_same():
    script = SCRIPT.format(folder=__file__.rpartition("/")[0])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
        )
        for hash_seed in ("1", "2")
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) == 65


def test_epoch_of():
    order = RowOrder(num_rows=10, rows_per_step=4, seed=0)
    assert order.epoch_of(0) == 0.0
    assert order.epoch_of(5) == 2.0
    assert sorted(np.concatenate([order.rows_of(k) for k in range(5)]).tolist()) == (
        sorted([*range(10), *range(10)])
    )


def test_no_pair_fits(corpus):
    short = numbered_corpus(3, longest=2)
    assert pack_corpus(short, config(length=2), seed=0).num_rows == 3
    long = make_corpus([[5, 5, EOS]], [[5, EOS]], bos_id=BOS, pad_id=PAD)
    with pytest.raises(InputError, match=r"none of the 1 pairs .*source_length=2"):
        pack_corpus(long, config(length=2), seed=0)


@pytest.mark.parametrize("length", [2, 5, 24])
def test_evaluation_leaves_no_pair_out(corpus, length):
    settings = config(length=length)
    batches = list(evaluation_batches(corpus, settings))
    assert sum(map(pairs_in, batches), Counter()) == Counter(range(300))
    shapes = {(batch.source.shape, batch.target_labels.shape) for batch in batches}
    assert len(shapes) <= 4
    assert all(map(same, batches, evaluation_batches(corpus, settings)))


def test_evaluation_pads_the_last_batch(corpus):
    batches = list(evaluation_batches(corpus, config()))
    assert {batch.source.shape for batch in batches} == {(8, 24)}
    assert not batches[-1].target_segments[-1].any()
    assert batches[0].target_segments.any(axis=1).all()


@each_host
@pytest.mark.parametrize("length", [5, 24])
def test_evaluation_on_hosts_and_devices(corpus, length, rows_of_host):
    settings = config(length=length)
    whole = list(evaluation_batches(corpus, settings, row_multiple=4))
    assert all(len(batch.source) % 4 == 0 for batch in whole)
    part = evaluation_batches(
        corpus, settings, rows_of_host=rows_of_host, row_multiple=4
    )
    for mine, batch in zip(part, whole, strict=True):
        places = rows_of_host(len(batch.source))
        assert same(mine, Batch(*(field[places] for field in batch)))
