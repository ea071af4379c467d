"""Two treebanks and the outputs of EVALB's C program, where they are at hand."""

import pytest
from wmt17 import DATA

EVALB = DATA / "oracle/evalb"

needs_evalb = pytest.mark.skipif(
    not EVALB.exists(), reason="EVALB's outputs are not on this machine"
)


def _parts(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "files",
        [
            pytest.param(
                f"{DATA}/{name}/{part}/*",
                marks=[
                    pytest.mark.skipif(
                        not (DATA / name).exists(),
                        reason=f"{name} is not on this machine",
                    ),
                    *([pytest.mark.long] if part == "train" else []),
                ],
                id=f"{name}/{part}",
            )
            for name in ("treebank_craft", "treebank_wsj_sample")
            for part in names
        ],
    )


# The larger parts have 23,262 and 3,396 trees.
each_treebank = _parts("train", "dev")
each_development_part = _parts("dev")
