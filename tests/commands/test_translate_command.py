"""The flags of `translate`, and what it tells."""

import dataclasses
import gzip
import json
import re

import pytest
from tiny_runs import reversed_pairs, trained_run

from transformer_jax.cli import main
from transformer_jax.commands.translate import translate
from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.translation.translator import Translator

SOURCES = [source for source, _ in reversed_pairs(6, seed=7)]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.gz"
    path.write_bytes(gzip.compress("".join(f"{s}\n" for s in SOURCES).encode()))
    return str(path)


def run(capsys, *arguments):
    """Returns the lines that are printed, and the last on standard error."""
    code = main(["translate", str(trained_run().workdir), *map(str, arguments)])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out.splitlines(), captured.err.splitlines()[-1]


def test_every_setting_of_decoding_is_a_flag_that_may_be_left_out(capsys):
    with pytest.raises(SystemExit):
        main(["translate", "--help"])
    flags = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    for field in dataclasses.fields(DecodingConfig):
        assert f"--{field.name.replace('_', '-')}" in flags
    assert "--continue" in flags
    # Other names must not hide a setting.
    assert not {f.name for f in dataclasses.fields(DecodingConfig)} & set(
        translate.__annotations__
    )


def test_settings_go_to_the_search_and_the_summary_is_told(source, capsys):
    translator = Translator.from_checkpoint(trained_run().workdir)
    printed, told = run(capsys, "--input", source)
    assert printed == translator.translate(SOURCES)
    assert re.fullmatch(
        r"6 lines in [\d.]+ s: [\d.]+ sentences/s, \d+ programs compiled", told
    )
    settings = {"beam_size": 2, "length_penalty": "none", "min_length": 4}
    flags = [x for k, v in settings.items() for x in (f"--{k.replace('_', '-')}", v)]
    printed, _ = run(capsys, "--input", source, *flags)
    assert printed == translator.translate(SOURCES, **settings)
    assert printed != translator.translate(SOURCES)


def test_sampling_is_a_flag_without_a_value(source, capsys):
    flags = ["--input", source, "--sampling", "--beam-size", "1", "--seed"]
    first, again = (run(capsys, *flags, "1")[0] for _ in range(2))
    assert first == again != run(capsys, *flags, "2")[0]


@pytest.mark.slow
def test_an_ensemble_of_a_model_and_itself_is_the_model(source, capsys):
    workdir = trained_run().workdir
    alone, _ = run(capsys, "--input", source)
    itself, _ = run(capsys, "--input", source, "--ensemble", workdir, workdir)
    assert itself == alone
    other, _ = run(capsys, "--input", source, "--ensemble", f"{workdir}/checkpoints/27")
    assert len(other) == len(alone)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--continue"], "give a file as --output with --continue."),
        (["--output", "{complete}", "--continue"], "leave out --continue to "),
        (["--output", "{begun}"], "job: add --continue to go on"),
        (["--output", "/dev/null", "--continue"], "/dev/null cannot be continued"),
        (["--n-best", "9"], "--n-best 9 must be at most beam_size="),
        (["--chunk-lines", "0"], "--chunk-lines 0 must be at least 1."),
    ],
)
def test_an_error_names_the_flags(source, tmp_path, capsys, flags, expected):
    paths = {"complete": tmp_path / "complete", "begun": tmp_path / "begun"}
    paths["complete"].write_text("ba\n")
    (tmp_path / "begun.partial").write_text("ba\n")
    journal = {"settings": {}, "lines": 1, "input_digest": "", "num_bytes": 3}
    (tmp_path / "begun.partial.json").write_text(json.dumps(journal))
    flags = [flag.format_map(paths) for flag in flags]
    workdir = str(trained_run().workdir)
    assert main(["translate", workdir, "--input", source, *flags]) == 2
    assert expected in capsys.readouterr().err.splitlines()[-1]
