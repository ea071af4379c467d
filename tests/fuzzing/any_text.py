"""Strategies for texts with all that is known to make trouble."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from transformer_jax.errors import InputError

SNIPPETS = (
    "", " ", "\t", "\r", "\x00", "\x07", "\x1b[1m", "\x0b", "\x0c", "\x1c", "\x1d",
    "\x1e", "\x1f", "\x85", "\xa0", "\xad", "\u1680", "\u180e", "\u200b", "\u200d",
    "\u2028", "\u2029", "\u202e", "\u202f", "\u2060", "\u2581", "\u3000", "\ufeff",
    "\ufffd", "\uffff", "\u0378", "\U000e0001", "\U0010ffff",
    "\U0001f469\u200d\U0001f52c",
    "e\u0301", "\u0130", "\u1e9e", "\xdf", "\u05e9\u05dc\u05d5\u05dd", "\u65e5\u672c",
    "<s>", "</s>", "<unk>", "<pad>", "<0x41>", "<0x0A>", "ba", "be bi. ", "Ko, ku! ",
    "x" * 200, ". ", "1,5", "&amp;", "@-@", '"', "'", "\\", "{", "}", "%",
)  # fmt: skip

_PARTS = st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=8))

texts = st.lists(_PARTS, max_size=8).map("".join)
"""Unicode text, with ends of lines of every kind but surrogates of none."""

lines = texts.map(lambda text: text.replace("\n", ""))
"""Text that is one line of a file, before its end."""

broken_texts = st.builds(
    lambda *parts: "".join(parts),
    texts,
    st.characters(categories=["Cs"]),
    texts,
)
"""Text that is not Unicode: it has half of a surrogate pair."""

json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.sampled_from([2**31, 2**32, -(2**63), 10**400, float("nan"), 1e308]),
        texts,
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
    ),
    max_leaves=6,
)
"""Values of JSON and TOML, nested, and numbers that JSON cannot write."""

_BYTES = (
    b"\n", b"\r\n", b"\r", b"\x00", b"\xef\xbb\xbf", b"\xff", b"\xc3", b"\xe2\x80",
    b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"a", b"\n\n",
)  # fmt: skip

odd_bytes = st.lists(
    st.one_of(st.sampled_from(_BYTES), texts.map(str.encode), st.binary(max_size=4)),
    max_size=10,
).map(b"".join)
"""Bytes of a text file: most of them UTF-8, and some not."""


def is_one_line(error: Exception) -> bool:
    """Whether a message is one line that a terminal shows as one."""
    return bool(str(error)) and len(str(error).splitlines()) == 1


def outcome(function: Callable[..., Any], *arguments: Any, kind=InputError, **options):
    """Returns the result of a function, or its error of this kind, in one line."""
    try:
        return function(*arguments, **options)
    except kind as error:
        refused = error
    assert is_one_line(refused)
    return refused
