"""Whatever a translation contains, it is written as one line."""

import json

import pytest

from transformer_jax.file_translation.output_lines import (
    LineFormat,
    format_translations,
)
from transformer_jax.translation.results import Translation

BREAKS = "a\nb\r\nc\rd\x0be\x0cf\x1cg\x85h\u2028i\u2029j\tk"


def translations(*scores):
    return [Translation(BREAKS, score, True, ["a"]) for score in scores]


def test_text_is_one_line_and_otherwise_as_it_is():
    text = format_translations(3, "x", translations(-1.0), None, LineFormat())
    assert text == BREAKS.replace("\n", " ").replace("\r", " ") + "\n"


def test_several_columns_hold_no_tabs_inside():
    links = [[(1, 0), (0, 1)], []]
    line_format = LineFormat(n_best=2, alignments=True)
    text = format_translations(3, "x", translations(-1.0, -2.0), links, line_format)
    assert text.count("\n") == 2
    assert text.count("\r") == 0
    rows = [line.split("\t") for line in text.split("\n")[:-1]]
    assert [row[:2] for row in rows] == [["3", "-1.0000"], ["3", "-2.0000"]]
    assert [row[3:] for row in rows] == [["1-0 0-1"], [""]]


def test_json_keeps_every_character_and_has_no_infinity():
    line_format = LineFormat(format="jsonl", n_best=2)
    found = translations(-1.0, float("-inf"))
    text = format_translations(3, f"{BREAKS} ö", found, [[], [(0, 0)]], line_format)
    assert "ö" in text
    lines = text.splitlines()
    assert len(lines) == 2
    records = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert records[0] == {
        "line": 3, "rank": 1, "source": f"{BREAKS} ö", "text": BREAKS, "score": -1.0,
        "is_finished": True, "pieces": ["a"], "alignment": "",
    }  # fmt: skip
    assert records[1]["score"] is None
    assert records[1]["alignment"] == "0-0"
