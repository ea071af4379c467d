"""Files of a run with anything in them: what is damaged is left out, or named."""

import contextlib
import json

import pytest
from any_text import is_one_line, json_values, odd_bytes, outcome, texts
from hypothesis import given
from hypothesis import strategies as st

from transformer_jax.checkpoints.validation_file import (
    read_validation,
    write_validation,
)
from transformer_jax.commands.models import parse_checkpoint
from transformer_jax.errors import InputError
from transformer_jax.file_translation.resumable_output import open_resumable
from transformer_jax.storage.json_values import json_line, parse_json
from transformer_jax.tokenizer.record import RECORD_FILE, read_record
from transformer_jax.training.metrics_file import METRICS_FILE, read_metrics

json_bytes = st.one_of(
    odd_bytes,
    json_values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([b"[" * 100_000, b"9" * 5_000, b"\xff\xfe{}", b'{"step": 1e999}']),
)
METRICS = b'{"kind": "train", "step": 1, "loss": 2.5}'


def without_numbers_that_are_none(value):
    """What JSON keeps of a value: null for NaN and for what is infinite."""
    if isinstance(value, dict):
        return {name: without_numbers_that_are_none(v) for name, v in value.items()}
    if isinstance(value, list):
        return [without_numbers_that_are_none(item) for item in value]
    is_odd = value != value or value in (float("inf"), float("-inf"))
    return None if isinstance(value, float) and is_odd else value


@given(st.dictionaries(texts, json_values, max_size=4))
def test_any_values_make_one_line_that_is_read_back(values):
    line = json_line(values)
    assert len(line.splitlines()) == 1
    assert parse_json(line) == without_numbers_that_are_none(values)


@given(json_bytes)
def test_any_bytes_are_json_or_not(contents):
    with contextlib.suppress(ValueError):
        parse_json(contents)


@given(st.lists(json_bytes | st.just(METRICS), max_size=5), st.integers(0, 60))
def test_any_metrics_are_read_or_left_out(tmp_path, pieces, cut):
    whole = b"\n".join([METRICS, *pieces])
    (tmp_path / METRICS_FILE).write_bytes(whole + b"\n" + METRICS[:cut])
    lines = read_metrics(tmp_path)
    assert lines[0] == json.loads(METRICS)
    keys = [(line["kind"], line["step"]) for line in lines]
    assert len(set(keys)) == len(keys)


@given(json_bytes)
def test_any_results_of_a_checkpoint_are_read_or_left_out(tmp_path, contents):
    write_validation(tmp_path, {})
    (tmp_path / "metrics" / "metrics").write_bytes(contents)
    found = read_validation(tmp_path)
    assert isinstance(found, dict)


@given(st.dictionaries(texts, st.none() | st.integers() | st.floats()))
def test_results_that_were_written_are_read(tmp_path, values):
    values.pop("crc32", None)
    write_validation(tmp_path, values)
    assert repr(read_validation(tmp_path)) == repr(values)


@given(json_bytes)
def test_any_record_of_a_tokenizer_is_read_or_unknown(tmp_path, contents):
    (tmp_path / RECORD_FILE).write_bytes(contents)
    record = read_record(tmp_path)
    assert list(record.differences(record)) == []


@given(json_bytes, odd_bytes.filter(bool))
def test_any_journal_is_gone_on_with_or_refused(tmp_path, journal, contents):
    path = tmp_path / "out.partial"
    path.write_bytes(contents)
    (tmp_path / "out.partial.json").write_bytes(journal)
    with (
        pytest.raises(InputError) as raised,
        open_resumable(path, {"beam_size": 4}, resume=True),
    ):
        pass
    assert is_one_line(raised.value)
    assert path.read_bytes() == contents


@given(
    st.fixed_dictionaries(
        {
            name: json_values | st.just(value)
            for name, value in {
                "settings": {"beam_size": 4}, "lines": 1, "input_digest": "",
                "num_bytes": 1,
            }.items()
        }
    )
)  # fmt: skip
def test_any_journal_of_the_right_names(tmp_path, journal):
    path = tmp_path / "out.partial"
    path.write_bytes(b"a\n")
    (tmp_path / "out.partial.json").write_text(json.dumps(journal))

    def go_on():
        with open_resumable(path, {"beam_size": 4}, resume=True) as output:
            return output.journal.lines

    found = outcome(go_on)
    if isinstance(found, InputError):
        assert path.read_bytes() == b"a\n"
    else:
        assert isinstance(found, int)


@given(texts | st.from_regex(r"\A[0-9+_. -]{1,25}\Z"))
def test_any_checkpoint_is_a_word_or_a_step(name):
    found = outcome(parse_checkpoint, name)
    assert isinstance(found, InputError) or str(found) == name
