"""Functions that take decoding settings refuse a misspelt one, and say the near one."""

import functools
import inspect
import typing

import pytest
from tiny_runs import trained_run
from tiny_treebank import parsing_run

import transformer_jax as tj
from transformer_jax.config.decoding_keywords import DecodingSettings

IDS = [[5, 2]]
# Arguments after the first, which is a translator where nothing else is said below.
FUNCTIONS = {
    tj.Translator.translate: (["ba"],),
    tj.Translator.n_best: (["ba"], 1),
    tj.score: (["ba"], ["ba"]),
    tj.score_tokens: (IDS, IDS),
    tj.align: (["ba"], ["ba"]),
    tj.evaluate: (),
    tj.DecodingConfig.replace: (),
    tj.translate_file: (None, None),
    tj.Parser.parse: (["da na"],),
    tj.Parser.n_best: (["da na"], 1),
}


def takes_decoding_settings(function) -> bool:
    kinds = inspect.signature(function).parameters.values()
    return any(each.kind is inspect.Parameter.VAR_KEYWORD for each in kinds)


def test_every_public_function_with_such_arguments_is_listed():
    public = [getattr(tj, name) for name in tj.__all__]
    methods = [
        member
        for thing in public
        if inspect.isclass(thing)
        for _, member in inspect.getmembers(thing, inspect.isfunction)
        if member.__qualname__.startswith(f"{thing.__name__}.")
    ]
    functions = {each for each in [*public, *methods] if inspect.isfunction(each)}
    taking = {
        each
        for each in functions
        if takes_decoding_settings(each)
        and typing.Unpack[DecodingSettings] in typing.get_type_hints(each).values()
    }
    assert taking == FUNCTIONS.keys()


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.__qualname__)
def test_a_misspelt_setting_is_refused_with_the_near_one(function):
    run = trained_run()
    parser = tj.Parser(parsing_run().result.translator)
    first = {
        tj.evaluate: run.workdir,
        tj.DecodingConfig.replace: tj.DecodingConfig(),
        tj.Parser.parse: parser,
        tj.Parser.n_best: parser,
    }
    call = functools.partial(
        function, first.get(function, run.result.translator), *FUNCTIONS[function]
    )
    expected = r"^beam_sise is not a setting of decoding; did you mean beam_size\?$"
    with pytest.raises(tj.InputError, match=expected):
        call(beam_sise=1)
    with pytest.raises(tj.InputError, match=r"^decoding\.top_p='1' must be "):
        call(top_p="1")


def test_an_evaluation_refuses_before_it_looks_for_a_model(tmp_path):
    with pytest.raises(tj.InputError, match="did you mean beam_size"):
        tj.evaluate(tmp_path / "nothing", beam_sise=1)


def test_an_evaluation_lets_settings_of_sampling_through(tmp_path):
    """The run may sample: its settings are not known before it is found."""
    with pytest.raises(tj.InputError, match="has no checkpoints"):
        tj.evaluate(tmp_path / "nothing", top_k=5)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.__qualname__)
def test_a_misspelt_argument_is_refused_with_the_near_one(function):
    run = trained_run()
    kinds = inspect.signature(function).parameters.values()
    for name in [each.name for each in kinds if each.kind is each.KEYWORD_ONLY]:
        expected = rf"^{name[:-1]} is not an argument; did you mean {name}\?$"
        with pytest.raises(tj.InputError, match=expected):
            function(run.result.translator, *FUNCTIONS[function], **{name[:-1]: None})


def test_one_translation_has_no_number():
    with pytest.raises(tj.InputError, match=r"^n is not a setting of decoding; "):
        trained_run().result.translator.translate(["ba"], n=2)


def test_too_many_translations_are_refused_under_the_callers_name():
    translator = trained_run().result.translator
    with pytest.raises(tj.InputError, match=r"^n=50 must be at most beam_size=4: "):
        translator.n_best(["ba"], 50)
    with pytest.raises(tj.InputError, match=r"^n_best=50 must be at most beam_size=4"):
        tj.translate_file(translator, None, None, n_best=50)
