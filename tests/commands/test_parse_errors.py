"""Each kind of error that the parser of the command line can have, as one line."""

import pytest

from transformer_jax.cli import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bleu", "--hypothesis", "a"], "--reference"),
        (["bleu", "--hypothesi", "a", "--reference", "b"], "--hypothesis"),
        (["translate", "w", "--beam-size", "many"], "--beam-size"),
        (["translate", "w", "--length-penalty", "gnm"], "--length-penalty"),
        (["translate", "w", "x"], "x"),
        (["trian"], "trian"),
        (["train", "multi30k_en_de"], "--workdir"),
        (["train", "multi30k_en_de", "--workdir", "w", "--model.d-modell", "3"], "did"),
    ],
)
def test_errors_are_one_line_that_names_what_is_wrong(arguments, said, capsys):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("transformer-jax: ")
    assert said in line
    assert not set("╭╮╰╯│─") & set(line)
    assert len(line) < 300


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("transformer-jax 0.")
