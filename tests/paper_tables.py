"""The tables of the paper, as they stand beside the repository for measuring."""

import pytest
from wmt17 import DATA

PAPER = DATA.parent / "paper.md"
_COLUMNS = (
    "N", "d_model", "d_ff", "h", "d_k", "d_v", "P_drop", "eps_ls", "steps", "PPL",
    "BLEU", "params (M)", "by formula, 37,000 rows (M)",
)  # fmt: skip


def read_paper():
    """Returns the page; skips the test on a machine without it."""
    if not PAPER.exists():
        pytest.skip("the paper's tables are not on this machine")
    return PAPER.read_text()


def paper_table_3():
    """Returns the cells of each row, by the names of the columns; blanks as base."""
    text = read_paper()
    table = text[text.index("## Table 3") :]
    lines = [line for line in table.splitlines() if line.startswith("|")][:22]
    head, _, *rows = ([c.strip() for c in line.split("|")[1:-1]] for line in lines)
    assert head == ["row", *_COLUMNS]
    cells = {row: dict(zip(_COLUMNS, rest, strict=False)) for row, *rest in rows}
    base = cells["base"]
    return {
        row: {name: cell or base[name] for name, cell in each.items()}
        for row, each in cells.items()
    }
