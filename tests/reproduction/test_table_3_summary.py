"""The table of finished rows."""

import json
import math
import statistics

import pytest
from made_up_verdicts import damage_verdict, write_verdict

from transformer_jax.errors import InputError
from transformer_jax.reproduction.scores import MOST_LOSS
from transformer_jax.reproduction.table_3 import summarise_table_3


@pytest.fixture
def rows(tmp_path):
    return [
        write_verdict(tmp_path / "c1", "C1", 18.0),
        *(
            write_verdict(tmp_path / f"base{seed}", "base", score, seed=seed)
            for seed, score in enumerate((20.0, 21.0, 22.5))
        ),
        write_verdict(tmp_path / "big", "big", 25.0),
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


@pytest.mark.parametrize(
    ("name", "done"), [("text_digest", "scored"), ("train_digest", "trained")]
)
def test_rows_of_another_text_are_refused(name, done, rows, tmp_path):
    """Its files may have the same names."""
    other = write_verdict(tmp_path / "other", "A1", 19.0, **{name: "b"})
    with pytest.raises(InputError, match=f"other was {done} on another text than"):
        summarise_table_3([*rows, other], tmp_path / "out")


def test_the_same_text_may_lie_elsewhere(rows, tmp_path):
    changes = {"data": "elsewhere/train.en", "text": "elsewhere/val.en"}
    other = write_verdict(tmp_path / "other", "A1", 19.0, **changes)
    assert len(summarise_table_3([*rows, other], tmp_path / "out")["rows"]) == 4


def test_a_run_is_named_once(rows, tmp_path):
    (tmp_path / "link").symlink_to(rows[1])
    with pytest.raises(InputError, match="link is named twice"):
        summarise_table_3([*rows, tmp_path / "link"], tmp_path / "out")


def test_what_is_no_verdict_is_refused(rows, tmp_path):
    with pytest.raises(InputError, match="has no verdict yet"):
        summarise_table_3([tmp_path], tmp_path)
    other = write_verdict(tmp_path / "t2", "table2-base-en-de", 27.0)
    with pytest.raises(InputError, match="not of a row of Table 3"):
        summarise_table_3([*rows, other], tmp_path)


@pytest.mark.parametrize("damage", ["cut", "not UTF-8", "nested", "pipe", "score nan"])
def test_what_is_damaged_is_refused(damage, rows, tmp_path):
    out = tmp_path / "out"
    damage_verdict(rows[1] / "verdict.json", damage)
    with pytest.raises(InputError, match="is damaged, or of another version: run rep"):
        summarise_table_3(rows, out)
    assert not out.exists()


def test_numbers_at_their_ends_have_a_table_and_a_picture(tmp_path):
    pytest.importorskip("matplotlib", reason="not part of a light install")
    ends = {"perplexity_per_subword": 1.0}, {"perplexity_per_subword": None}
    most = {"perplexity_per_subword": math.exp(MOST_LOSS)}
    rows = [
        write_verdict(tmp_path / f"{number}", row, 20.0, seed=number, **change)
        for number, (row, change) in enumerate(
            [*(("base", each) for each in ends), *(("A1", most),) * 2, ("A2", ends[1])]
        )
    ]
    for number, part in enumerate((rows, rows[:1], rows[1:2], rows[2:], rows[3:])):
        summary = summarise_table_3(part, tmp_path / f"out{number}")
        assert summary["markdown"] == (tmp_path / f"out{number}/table3.md").read_text()


def test_a_file_that_cannot_be_written_leaves_no_part_of_a_table(rows, tmp_path):
    (tmp_path / "out/table3.md").mkdir(parents=True)
    with pytest.raises(InputError, match=r"table3\.md is a directory"):
        summarise_table_3(rows, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["table3.md"]
