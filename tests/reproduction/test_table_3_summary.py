"""The table of finished rows."""

import json
import statistics

import pytest

from transformer_jax.errors import InputError
from transformer_jax.reproduction.table_3 import summarise_table_3


def write_verdict(folder, row, score, *, seed=0, **changes):
    folder.mkdir(parents=True)
    verdict = {
        "target": f"table3-{row}",
        "scale": {"updates": 0.01, "width": 1.0, "depth": 1.0},
        "data": "some text",
        "num_sentences": 100,
        "text": "val.en",
        "text_digest": "a",
        "chosen": {},
        "num_updates": 1000,
        "num_parameters": 5_000_000,
        "perplexity_per_subword": 100 / score,
        "score": score,
        "training_hours": 0.5,
        "seed": seed,
        "config_digest": "c",
        "versions": {},
        "scores": [],
        "averaged_steps": [],
        "differs_by": [],
        **changes,
    }
    (folder / "verdict.json").write_text(json.dumps(verdict))
    return folder


@pytest.fixture
def rows(tmp_path):
    return [
        write_verdict(tmp_path / "c1", "C1", 18.0),
        *(
            write_verdict(tmp_path / f"base{seed}", "base", score, seed=seed)
            for seed, score in enumerate((20.0, 21.0, 22.5))
        ),
        write_verdict(tmp_path / "big", "big", 25.0, num_updates=3000),
    ]


def test_rows_in_the_order_of_the_paper_with_means_and_deviations(rows, tmp_path):
    summary = summarise_table_3(rows, tmp_path / "out")
    base, c1, big = summary["rows"]
    assert [row["row"] for row in summary["rows"]] == ["base", "C1", "big"]
    scores = 20.0, 21.0, 22.5
    assert base["score"] == pytest.approx(statistics.fmean(scores))
    assert base["score_deviation"] == pytest.approx(statistics.stdev(scores))
    assert base["training_hours"] == 1.5
    assert (c1["num_runs"], c1["score_deviation"]) == (1, None)
    assert (c1["paper_score"], big["paper_score"]) == (23.7, 26.4)
    text = (tmp_path / "out/table3.md").read_text()
    assert "at 0.01 of the updates" in text
    assert "| C1 | 1 | 5.00 | 6.11 (+1.19) | 5.56 (+0.82) | 23.7 (-2.1) |" in text
    assert "18.00 (-3.17) |" in text
    assert json.loads((tmp_path / "out/table3.json").read_text()) == summary


def test_the_picture_has_every_row(rows, tmp_path):
    pytest.importorskip("matplotlib", reason="not part of a light install")
    summarise_table_3(rows, tmp_path / "out")
    picture = (tmp_path / "out/table3.svg").read_text()
    for word in ("base", "C1", "big", "paper", "ours"):
        assert f"<!-- {word} -->" in picture


def test_without_base_nothing_is_compared_with_it(rows, tmp_path):
    summary = summarise_table_3(rows[:1], tmp_path)
    assert "(-" not in summary["markdown"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scale": {"updates": 0.5, "width": 1.0, "depth": 1.0}}, "scale"),
        ({"data": "another text"}, "data"),
        ({"num_sentences": 99}, "num_sentences"),
        ({"num_updates": 999}, "num_updates"),
    ],
)
def test_rows_that_are_not_alike_are_refused(changes, words, rows, tmp_path):
    other = write_verdict(tmp_path / "other", "A1", 19.0, **changes)
    with pytest.raises(InputError, match=f"other has {words} .* alike"):
        summarise_table_3([*rows, other], tmp_path / "out")


def test_rows_of_other_settings_are_refused(rows, tmp_path):
    chosen = {"decoding.beam_size": "8"}
    other = write_verdict(tmp_path / "other", "A1", 19.0, chosen=chosen)
    words = "other has decoding.beam_size 8, .*c1 the row's"
    with pytest.raises(InputError, match=words):
        summarise_table_3([*rows, other], tmp_path / "out")


def test_rows_of_another_text_are_refused(rows, tmp_path):
    other = write_verdict(tmp_path / "other", "A1", 19.0, text_digest="b")
    with pytest.raises(InputError, match="other was scored on another text"):
        summarise_table_3([*rows, other], tmp_path / "out")


def test_a_run_is_named_once(rows, tmp_path):
    (tmp_path / "link").symlink_to(rows[1])
    with pytest.raises(InputError, match="link is named twice"):
        summarise_table_3([*rows, tmp_path / "link"], tmp_path / "out")


def test_what_is_no_verdict_is_refused(rows, tmp_path):
    with pytest.raises(InputError, match="has no verdict yet"):
        summarise_table_3([tmp_path], tmp_path)
    other = write_verdict(tmp_path / "t2", "base", 27.0, target="table2-base-en-de")
    with pytest.raises(InputError, match="not of a row of Table 3"):
        summarise_table_3([*rows, other], tmp_path)
    (tmp_path / "t2/verdict.json").write_text('{"target": "table3-A1"')
    with pytest.raises(InputError, match="damaged"):
        summarise_table_3([other], tmp_path)
