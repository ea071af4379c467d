"""Phrases in two languages, generated from Unicode CLDR through Babel.

CLDR holds how each language writes dates, times, amounts, prices, names of countries
and languages, and lists of them. First a meaning is drawn (a date, a number of
kilometers, three countries), then it is written in both languages. So each pair is a
correct translation, and a model can learn the rules: word order, plurals, 12-hour and
24-hour clocks, decimal signs, abbreviations.
"""

import datetime
import random
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Literal

from babel import Locale
from babel.dates import (
    format_date,
    format_interval,
    format_skeleton,
    format_time,
    format_timedelta,
    get_datetime_format,
)
from babel.lists import format_list
from babel.numbers import (
    format_compact_decimal,
    format_currency,
    format_decimal,
    format_percent,
    get_currency_precision,
)
from babel.units import format_compound_unit, format_unit

from transformer_jax.cldr_corpus.vocabulary import (
    CURRENCIES,
    RATE_UNITS,
    SYMBOLS,
    UNITS,
    Pair,
    finish,
    make_names,
    make_short_months,
)

Number = int | Decimal
_TimeUnit = Literal["year", "month", "week", "day", "hour", "minute", "second"]
_DateStyle = Literal["full", "long", "medium", "short"]
_ListStyle = Literal["standard", "or"]
_STYLES: tuple[_DateStyle, ...] = ("full", "long", "medium", "short")
_AND_OR: tuple[_ListStyle, ...] = ("standard", "or")

_TIMES = [
    datetime.time(hour, minute) for hour in range(24) for minute in range(0, 60, 5)
]
# For each unit of time: its seconds, and the largest number below the next unit.
_TIME_UNITS: dict[_TimeUnit, tuple[int, int]] = {
    "second": (1, 59), "minute": (60, 59), "hour": (3_600, 23), "day": (86_400, 6),
    "week": (7 * 86_400, 4), "month": (30 * 86_400, 11), "year": (365 * 86_400, 60),
}  # fmt: skip


class Phrasebook:
    """Draws meanings at random and writes each in two languages.

    Methods named after a kind of phrase return one random pair of that kind.
    """

    def __init__(self, source: str, target: str, seed: int):
        self._locales = (Locale.parse(source), Locale.parse(target))
        # Random hashes a text to the same seed in every process.
        self._random = random.Random(f"{source} {target} {seed}")
        self.countries, self.languages = make_names(*self._locales)
        self._short_months = make_short_months(*self._locales)

    def phrases(self) -> Iterator[Pair]:
        """Yields pairs of all kinds without end, some of them repeated."""
        weights: dict[Callable[[], Pair], int] = {
            self.date: 12, self.moment: 8, self.date_interval: 6, self.time: 2,
            self.time_interval: 5, self.relative_time: 5, self.quantity: 8,
            self.rate: 5, self.price: 8, self.number: 5, self.duration: 6,
            self.names: 14, self.locale_names: 4, self.alike: 8, self.entry: 12,
        }  # fmt: skip
        kinds = list(weights)
        while True:
            (kind,) = self._random.choices(kinds, list(weights.values()))
            yield kind()

    def lexicon(self) -> list[Pair]:
        """Returns every country, language, unit and currency, each by itself."""
        units = [*UNITS, *(f"duration-{unit}" for unit in _TIME_UNITS)]
        return [
            *self.countries,
            *self.languages,
            *(self._unit(count, unit) for unit in units for count in (1, 2)),
            *(self._money(count, code) for code in CURRENCIES for count in (1, 2)),
        ]

    # Dates and times.

    def date(self) -> Pair:
        skeleton = self._random.choice(["yMMMM", "MMMMd", "yQQQQ", *[None] * 12])
        if skeleton:
            day = self._day("long")
            return self._say(
                lambda locale: format_skeleton(skeleton, day, locale=locale)
            )
        style = self._random.choice(_STYLES)
        day = self._day(style)
        return self._say(lambda locale: format_date(day, style, locale))

    def time(self) -> Pair:
        moment = self._random.choice(_TIMES)
        return self._say(lambda locale: format_time(moment, "short", locale=locale))

    def moment(self) -> Pair:
        style = self._random.choice(_STYLES)
        day, moment = self._day(style), self._random.choice(_TIMES)

        def render(locale: Locale) -> str:
            pattern = str(get_datetime_format(style, locale=locale)).replace("'", "")
            clock = format_time(moment, "short", locale=locale)
            return pattern.format(clock, format_date(day, style, locale))

        return self._say(render)

    def date_interval(self) -> Pair:
        skeleton = self._random.choice(["yMMMd", "MMMd", "yMMMM"])
        day = datetime.timedelta(days=1)
        start = self._day("long")
        end = start + day * self._random.randint(1, 400 if skeleton == "yMMMM" else 60)
        if skeleton == "MMMd" and end.year != start.year:
            start, end = start - 60 * day, end - 60 * day
        return self._say(
            lambda locale: format_interval(start, end, skeleton, locale=locale)
        )

    def time_interval(self) -> Pair:
        start, end = sorted(self._random.sample(_TIMES, 2))

        def render(locale: Locale) -> str:
            skeleton = "hm" if "a" in locale.time_formats["short"].pattern else "Hm"
            return format_interval(start, end, skeleton, locale=locale)

        return self._say(render)

    def relative_time(self) -> Pair:
        unit = self._random.choice(list(_TIME_UNITS))
        count = self._small() * self._random.choice([1, -1])
        return self._say(
            lambda locale: format_timedelta(
                datetime.timedelta(seconds=count * _TIME_UNITS[unit][0]),
                granularity=unit,
                threshold=float("inf"),  # Never in a larger unit than the one drawn.
                add_direction=True,
                locale=locale,
            )
        )

    # Numbers, quantities, prices.

    def number(self) -> Pair:
        kind = self._random.choice(["decimal", "percent", "compact"])
        if kind == "percent":
            share = Decimal(self._random.randint(1, 1_000)).scaleb(-3)
            return self._say(
                lambda x: format_percent(share, locale=x, decimal_quantization=False)
            )
        if kind == "compact":
            # From 2 up: Babel says 1 million in the plural in some languages.
            large = self._random.randint(2, 999) * 10 ** self._random.choice([6, 9, 12])
            return self._say(
                lambda x: format_compact_decimal(large, format_type="long", locale=x)
            )
        value = Decimal(self._random.randint(1_000, 99_999))
        value = value.scaleb(-self._random.randint(0, 1)).normalize()
        return self._say(lambda locale: format_decimal(value, locale=locale))

    def quantity(self) -> Pair:
        return self._unit(self._number(), self._random.choice(UNITS))

    def rate(self) -> Pair:
        unit = self._random.choice(RATE_UNITS)
        per = f"duration-{self._random.choice(list(_TIME_UNITS))}"
        value = self._number()
        return self._say(
            lambda locale: str(
                format_compound_unit(value, unit, denominator_unit=per, locale=locale)
            )
        )

    def price(self) -> Pair:
        if self._random.random() < 0.5:
            value, code = self._amount(), self._random.choice(SYMBOLS)
            return self._say(lambda locale: format_currency(value, code, locale=locale))
        code = self._random.choice(CURRENCIES)
        value = self._amount()
        return self._money(value if get_currency_precision(code) else int(value), code)

    # Phrases made of phrases.

    def duration(self) -> Pair:
        largest = self._random.randrange(1, len(_TIME_UNITS))
        smallest = max(0, largest - self._random.randint(1, 2))
        units = list(_TIME_UNITS)[smallest : largest + 1]
        parts = [
            self._unit(
                self._random.randint(1, _TIME_UNITS[unit][1]), f"duration-{unit}"
            )
            for unit in reversed(units)
        ]
        return self._list(parts, "standard")

    def names(self) -> Pair:
        names = self._random.choice([self.countries, self.languages])
        return self._list(self._random.sample(names, self._random.randint(2, 4)))

    def locale_names(self) -> Pair:
        """Languages of countries, as in French (Canada)."""
        count = self._random.randint(1, 2)
        languages = self._random.sample(self.languages, count)
        countries = self._random.sample(self.countries, count)
        parts = zip(languages, countries, strict=True)
        return self._list([_in_both(part, "{0[0]} ({0[1]})".format) for part in parts])

    def alike(self) -> Pair:
        """Two or three phrases of one kind."""
        kind = self._random.choice(
            [self.quantity, self.price, self.relative_time, self.date]
        )
        return self._list([kind() for _ in range(self._random.randint(2, 3))])

    def entry(self) -> Pair:
        """When, where and what, as in a diary."""
        when = self._random.choice(
            [self.date, self.moment, self.time, self.relative_time]
        )
        what = self._random.choice([self.quantity, self.price, self.duration])
        parts = [when(), self._random.choice(self.countries), what()]
        return _in_both(parts, ", ".join)

    # What phrases are made of.

    def _say(self, render: Callable[[Locale], str]) -> Pair:
        source, target = (finish(render(x), x.language) for x in self._locales)
        return source, target

    def _list(self, parts: Sequence[Pair], *styles: _ListStyle) -> Pair:
        style = self._random.choice(styles or _AND_OR)
        source, target = (
            finish(format_list(side, style, locale), locale.language)
            for side, locale in zip(
                zip(*parts, strict=True), self._locales, strict=True
            )
        )
        return source, target

    def _unit(self, value: Number, unit: str) -> Pair:
        return self._say(lambda locale: format_unit(value, unit, locale=locale))

    def _money(self, value: Number, code: str) -> Pair:
        pattern = "#,##0" if isinstance(value, int) else "#,##0.00"
        return self._say(
            lambda locale: format_currency(
                value, code, pattern, locale, currency_digits=False, format_type="name"
            )
        )

    def _small(self) -> int:
        """1 to 60, and often 1 and 2, where plurals begin."""
        return self._random.choice([1, 2, *[self._random.randint(1, 60)] * 4])

    def _number(self) -> Number:
        whole = self._random.randint(1, 999)
        scale = self._random.choice([10, 100, 1_000])
        # Never 2.0, which is written 2 but takes another plural.
        tenths = Decimal(whole // 10 * 10 + self._random.randint(1, 9)).scaleb(-1)
        numbers: list[Number] = [self._small(), whole, whole * scale, tenths]
        return self._random.choice(numbers)

    def _amount(self) -> Number:
        """Of money: whole, or with cents up to a hundred."""
        hundredths = Decimal(self._random.randint(101, 9_999)).scaleb(-2)
        round_sum = self._random.randint(1, 400) * self._random.choice([5, 50])
        amounts: list[Number] = [self._small(), round_sum, hundredths, hundredths]
        return self._random.choice(amounts)

    def _day(self, style: _DateStyle) -> datetime.date:
        """A day that can be read back from its date in this style."""
        # Some languages write two digits of the year in a short date.
        year = self._random.randint(2000 if style == "short" else 1950, 2049)
        months = self._short_months if style == "medium" else range(1, 13)
        first = datetime.date(year, self._random.choice(months), 1)
        day = first + datetime.timedelta(days=self._random.randrange(31))
        return day if day.month == first.month else first


def _in_both(parts: Sequence[Pair], join: Callable[[Sequence[str]], str]) -> Pair:
    source, target = (join(side) for side in zip(*parts, strict=True))
    return source, target
