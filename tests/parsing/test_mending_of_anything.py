"""The properties of mending, for what Hypothesis thinks of."""

from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st
from test_mending import TOKENS, check

from transformer_jax.parsing.mending import mend

brackets = st.sampled_from(TOKENS)
anything = brackets | st.text(max_size=4) | st.text("()NP \n", max_size=4)


@settings(deadline=None)
@given(tokens=st.lists(anything, max_size=30), num_words=st.integers(1, 12))
def test_any_tokens_give_a_tree(tokens, num_words):
    check(tokens, num_words)


def constituent(label, parts):
    return [f"({label}", *joined(parts), f"){label}"]


def joined(parts):
    return list(chain.from_iterable(parts))


forests = st.recursive(
    st.just(["NN"]),
    lambda inner: st.builds(
        constituent,
        st.sampled_from(["S", "NP", ""]),
        st.lists(inner, min_size=1, max_size=4),
    ),
)


@settings(deadline=None)
@given(tokens=st.lists(forests, min_size=1, max_size=3).map(joined))
def test_what_is_well_formed_stays_as_it_is(tokens):
    assert mend(tokens, tokens.count("NN")) == tokens
    check(tokens, tokens.count("NN"))
