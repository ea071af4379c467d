"""The words that phrases from CLDR are made of, and how their text is finished.

Names, units and currencies are chosen so that each has one translation in both
directions.
"""

import re
from collections import Counter
from collections.abc import Mapping

from babel import Locale

Pair = tuple[str, str]

CURRENCIES = (
    "AED", "ARS", "AUD", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK",
    "EGP", "EUR", "GBP", "GEL", "HKD", "HUF", "IDR", "ILS", "INR", "ISK", "JPY",
    "KES", "KRW", "KZT", "MAD", "MXN", "MYR", "NGN", "NOK", "NZD", "PEN", "PHP",
    "PKR", "PLN", "RON", "RSD", "SAR", "SEK", "SGD", "THB", "TND", "TRY", "TWD",
    "UAH", "USD", "UYU", "VND", "ZAR",
)  # fmt: skip
"""By their names: 3 Swiss francs."""
SYMBOLS = (
    "AUD", "BRL", "CAD", "CNY", "EUR", "GBP", "ILS", "INR", "JPY", "KRW", "MXN", "USD",
)  # fmt: skip
"""Currencies by their symbols: €3.00."""
UNITS = (
    "area-acre", "area-hectare", "area-square-kilometer", "area-square-meter",
    "digital-gigabyte", "digital-kilobyte", "digital-megabyte", "digital-terabyte",
    "electric-ampere", "electric-volt", "energy-joule", "energy-kilocalorie",
    "energy-kilojoule", "energy-kilowatt-hour", "frequency-hertz",
    "frequency-megahertz", "length-centimeter", "length-foot", "length-inch",
    "length-kilometer", "length-light-year", "length-meter", "length-mile",
    "length-millimeter", "length-nautical-mile", "length-yard", "mass-gram",
    "mass-kilogram", "mass-milligram", "mass-ounce", "mass-pound", "mass-tonne",
    "power-horsepower", "power-kilowatt", "power-megawatt", "power-watt",
    "pressure-bar", "pressure-hectopascal", "temperature-celsius",
    "temperature-fahrenheit", "volume-cubic-meter", "volume-gallon", "volume-liter",
    "volume-milliliter",
)  # fmt: skip
RATE_UNITS = (
    "digital-gigabyte", "digital-megabyte", "energy-kilowatt-hour",
    "length-centimeter", "length-kilometer", "length-meter", "length-millimeter",
    "mass-gram", "mass-kilogram", "mass-milligram", "mass-tonne", "volume-cubic-meter",
    "volume-liter", "volume-milliliter",
)  # fmt: skip
"""Units said of a time: 3 liters per day."""

# Groups of countries, uninhabited islands, codes for tests and for the unknown.
_NOT_COUNTRIES = {
    "AC", "AQ", "BV", "CP", "CQ", "DG", "EA", "EU", "EZ", "HM", "IC", "QO", "TA", "TF",
    "UM", "UN", "XA", "XB", "ZZ",
}  # fmt: skip
_FRENCH_MONTHS = "janv|févr|mars|avr|mai|juin|juil|août|sept|oct|nov|déc"
_RULES = {
    "fr": ((re.compile(rf"\b1(?=(?:\u2013\d+)? (?:{_FRENCH_MONTHS}))"), "1er"),),
    "es": (
        (re.compile(r" y (?=[iIíÍ]|[hH][iIíÍ](?![aAeE]))"), " e "),
        (re.compile(r" o (?=[hH]?[oOóÓ]|8|11(?!\d))"), " u "),
        (re.compile(r"(?<![\d.,])(\d)\.(\d{3})(?![\d.])"), r"\1\2"),
    ),
}
_PLAIN_SPACES = str.maketrans(dict.fromkeys("\u00a0\u202f\u2009", " "))


def make_names(source: Locale, target: Locale) -> tuple[list[Pair], list[Pair]]:
    """Returns the names of countries and those of languages."""
    countries = _names(source.territories, target.territories)
    languages = _names(source.languages, target.languages)
    # Nauru is a country and a language in English; in German it is two words.
    both = {x for pair in countries for x in pair} & {
        x for pair in languages for x in pair
    }
    return (
        [pair for pair in countries if both.isdisjoint(pair)],
        [pair for pair in languages if both.isdisjoint(pair)],
    )


def make_short_months(source: Locale, target: Locale) -> list[int]:
    """Returns the months that are written otherwise when short, in both languages.

    May 5 is a long and a medium date in English: in other languages these differ.
    """
    forms = [locale.months["format"] for locale in (source, target)]
    return [
        month
        for month in range(1, 13)
        if all(form["abbreviated"][month] != form["wide"][month] for form in forms)
    ]


def finish(text: str, language: str) -> str:
    """Returns the text with plain spaces, and with rules which Babel leaves out.

    CLDR has no-break, narrow and thin spaces, which few people type. In French the
    first day of a month is 1er. In Spanish, y and o become e and u before their own
    sound, and four digits are not grouped.
    """
    text = text.translate(_PLAIN_SPACES)
    for pattern, replacement in _RULES.get(language, ()):
        text = pattern.sub(replacement, text)
    return text


def _names(sources: Mapping[str, str], targets: Mapping[str, str]) -> list[Pair]:
    """Names in plain form which no other code shares."""
    pairs = [
        (sources[code].translate(_PLAIN_SPACES), targets[code].translate(_PLAIN_SPACES))
        for code in sorted(set(sources) & set(targets))
        if len(code) == 2 and code not in _NOT_COUNTRIES
    ]
    counts = [Counter(side) for side in zip(*pairs, strict=True)]
    return [
        pair
        for pair in pairs
        if all(count[name] == 1 for count, name in zip(counts, pair, strict=True))
        and not any(sign in name for sign in ("(", ",", " - ") for name in pair)
    ]
