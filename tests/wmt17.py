"""Outputs of eight systems of WMT17 with scores by the programs of others."""

import csv
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[1] / "../shared/data"
_FOLDER = DATA / "oracle/wmt17_en_de"

needs_wmt17 = pytest.mark.skipif(
    not _FOLDER.exists(), reason="the WMT17 system outputs are not on this machine"
)

# The first has curly quotes and no-break spaces, the second is the best, the third has
# scores that the others have not.
PROMT = "newstest2017.PROMT-Rule-based.4735.en-de"
UEDIN = "newstest2017.uedin-nmt.4722.en-de"
C_3MA = "newstest2017.C-3MA.4959.en-de"
LMU = "newstest2017.LMU-nmt-reranked.4934.en-de"
SYSTEMS = [
    PROMT,
    *(
        pytest.param(system, marks=pytest.mark.long)
        for system in [
            UEDIN,
            C_3MA,
            LMU,
            "newstest2017.KIT.4950.en-de",
            "newstest2017.SYSTRAN.4847.en-de",
            "newstest2017.online-A.0.en-de",
            "newstest2017.online-F.0.en-de",
        ]
    ),
]


def read_lines(path):
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def read_system(name):
    return read_lines(_FOLDER / name)


def read_expected(name, system):
    with open(_FOLDER / name, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return next(row for row in rows if row["system"] == system)
