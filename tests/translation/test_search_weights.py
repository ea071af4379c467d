"""The weights of a search are made once, and again for another dtype."""

from transformer_jax.translation.search_weights import KeptWeights


def test_weights_are_those_of_the_last_program():
    made = []

    def program(number):
        def make(params):
            made.append(number)
            return number, params

        return make

    first, second = program(1), program(2)
    kept = KeptWeights(("params",))
    found = [kept.made_by(make) for make in (first, first, second, first)]
    assert found == [(number, ("params",)) for number in (1, 1, 2, 1)]
    assert made == [1, 2, 1]
