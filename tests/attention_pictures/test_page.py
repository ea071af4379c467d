"""The page of attention weights, as text and in a browser."""

import html
import re

import numpy as np
import pytest
from attention_pictures import browser
from attention_pictures.made_maps import made_maps

from transformer_jax.attention_pictures.page import attention_page
from transformer_jax.errors import InputError

MAPS = made_maps()


def test_the_page_is_one_file_that_needs_no_network():
    page = attention_page(MAPS).html
    assert not re.search(r"""(src|href|@import|url\()\s*=?\s*["'(]?\s*https?:""", page)
    addresses = re.findall(r"https?://[^\s\"'<]+", page)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}  # The name of SVG.
    assert "<link" not in page
    assert not re.search(r"\$(title|style|script|data)", page)  # All are filled in.


def test_the_title_is_text():
    page = attention_page(MAPS, title="<b>Tom & Jerry</b>").html
    assert "<title>&lt;b&gt;Tom &amp; Jerry&lt;/b&gt;</title>" in page


def test_a_notebook_shows_the_page_in_a_frame():
    page = attention_page(MAPS)
    frame = page._repr_html_()
    (inside,) = re.findall(r'srcdoc="([^"]*)"', frame)
    assert html.unescape(inside) == page.html


@pytest.mark.parametrize("maps", [None, "text", np.zeros((1, 1, 2, 2))])
def test_other_things_than_maps_are_refused(maps):
    with pytest.raises(InputError, match=r"maps=.* must be what Translator.attention"):
        attention_page(maps)


needs_browser = pytest.mark.skipif(
    None in (browser.CHROMIUM, browser.DRIVER),
    reason="chromium and chromedriver are not on this machine",
)


@pytest.fixture(scope="module")
def window():
    with browser.open_browser() as opened:
        yield opened


@pytest.fixture
def page(window, tmp_path):
    """A page that was just opened."""
    path = tmp_path / "page.html"
    path.write_text(attention_page(MAPS).html, encoding="utf-8")
    window.resize(1200, 900)
    window.set_dark(False)
    window.open(path)
    yield window
    assert window.errors() == []


def drawn_lines(page):
    """Returns head, query, key and weight of each line."""
    return page.run(
        "return [...document.querySelectorAll('#picture path')].map(path => "
        "['head', 'query', 'key', 'weight'].map(name => Number(path.dataset[name])))"
    )


def pressed(page, group):
    return page.run(
        f"return [...document.querySelectorAll('#{group} [aria-pressed=true]')]"
        ".map(each => each.textContent)"
    )


def check_lines(page, weights, heads):
    """Checks that each weight of a layer that can be seen is drawn, and no other."""
    found = {tuple(map(int, line[:3])): line[3] for line in drawn_lines(page)}
    expected = {
        (head, query, key): weights[head, query, key]
        for head in heads
        for query in range(weights.shape[1])
        for key in range(weights.shape[2])
        if weights[head, query, key] >= 0.01
    }
    assert found == pytest.approx(expected, abs=1e-6)


@needs_browser
def test_lines_are_the_weights_of_the_model(page):
    check_lines(page, MAPS.cross[1], range(4))  # What the page opens with.
    page.click("[data-kind=encoder]")
    page.click("[data-layer='0']")
    check_lines(page, MAPS.encoder[0], range(4))
    page.click("[data-kind=decoder]")
    check_lines(page, MAPS.decoder[0], range(4))


@needs_browser
def test_clicking_a_head_changes_what_is_drawn(page):
    page.click("#heads [data-head='2']")
    check_lines(page, MAPS.cross[1], [0, 1, 3])
    for head in 0, 1, 3:  # The last one stays.
        page.click(f"#heads [data-head='{head}']")
    check_lines(page, MAPS.cross[1], [3])
    page.click("#heads [data-head='0']")
    check_lines(page, MAPS.cross[1], [0, 3])


@needs_browser
def test_a_layer_that_the_other_stack_lacks_becomes_its_last(page):
    page.click("[data-kind=encoder]")
    page.click("[data-layer='2']")
    page.click("[data-kind=decoder]")
    assert pressed(page, "layers") == ["1"]


@needs_browser
def test_a_piece_shows_what_it_attends_to(page):
    page.click("#heads [data-head='0']")
    page.click("#heads [data-head='1']")  # Two are left, 8 weights of each are shown.
    page.run("document.querySelector('.piece[data-query=\"3\"]').focus()")
    rows = page.run(
        "return [...document.querySelectorAll('#weights tr')].map(row => "
        "['head', 'key', 'weight'].map(name => Number(row.dataset[name])))"
    )
    assert len(rows) == 2 * 7
    for head, key, weight in rows:
        expected = MAPS.cross[1, int(head), 3, int(key)]
        assert weight == pytest.approx(expected, abs=1e-6)
    assert rows[0][2] == max(row[2] for row in rows[:7])
    assert page.run("return document.querySelector('#weights h2').textContent") == (
        "word2 attends to"
    )


@needs_browser
def test_the_keyboard_does_what_the_buttons_do(page):
    page.keys("2")
    assert pressed(page, "heads") == ["2"]
    page.keys("a")
    assert pressed(page, "heads") == ["0", "1", "2", "3", "all"]
    page.keys("\ue012")  # To the left.
    assert pressed(page, "layers") == ["0"]
    page.keys("\ue014\ue014\ue014")
    assert pressed(page, "layers") == ["1"]
    page.keys("\ue015\ue015")  # Down.
    assert page.run("return document.querySelectorAll('.chosen').length") == 1
    assert "word0" in page.run("return document.querySelector('.chosen').textContent")
    page.keys("\ue00c")  # Escape.
    assert page.run("return document.querySelectorAll('.chosen').length") == 0
    page.keys("v")
    assert pressed(page, "views") == ["heat maps"]
    page.keys("k")
    assert pressed(page, "kinds") == ["encoder"]


@needs_browser
def test_a_heat_map_has_the_weights_as_strength_of_its_colour(page):
    page.keys("1v")
    alpha = page.run(
        "const canvas = document.querySelector('#picture canvas');"
        "const cell = canvas.width / 7, context = canvas.getContext('2d');"
        "return [...Array(35).keys()].map(i => context.getImageData("
        "(i % 7 + 0.5) * cell, (Math.floor(i / 7) + 0.5) * cell, 1, 1).data[3])"
    )
    expected = 255 * MAPS.cross[1, 1]
    np.testing.assert_allclose(np.reshape(alpha, (5, 7)), expected, atol=1.5)


@needs_browser
def test_all_heads_are_shown_and_lead_to_one(page):
    page.click("[data-view=all]")
    assert page.run("return document.querySelectorAll('#picture canvas').length") == 8
    page.click("#picture [data-layer='0'][data-head='3']")
    assert pressed(page, "views") == ["heat maps"]
    assert (pressed(page, "layers"), pressed(page, "heads")) == (["0"], ["3"])


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [500, 1200])
def test_nothing_is_wider_than_the_window(page, dark, width):
    page.resize(width, 900)
    page.set_dark(dark)
    for view in "lines", "maps", "all":
        page.click(f"[data-view={view}]")
        wide = page.run("return document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0


@needs_browser
def test_the_page_follows_the_colours_that_its_user_prefers(page):
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = page.run(colour)
    page.set_dark(True)
    assert light == "rgb(255, 255, 255)" != page.run(colour)


@needs_browser
def test_pieces_stay_text(page):
    """Pieces with signs of HTML in them are shown, and do nothing."""
    page.click("[data-kind=encoder]")
    shown = page.run(
        "return [...document.querySelectorAll('.piece text')].map(t => t.textContent)"
    )
    assert shown == ["The", "m", "·ice", '"<b>', "&amp;", "</script>", "</s>"]


@needs_browser
def test_sixty_words_stay_legible(window, tmp_path):
    path = tmp_path / "long.html"
    maps = made_maps(source=60, target=60)
    path.write_text(attention_page(maps).html, encoding="utf-8")
    window.open(path)
    for view in "lines", "maps":
        window.click(f"[data-view={view}]")
        sizes = window.run(
            "return [...document.querySelectorAll('#picture text:not(.axis)')]"
            ".map(text => parseFloat(getComputedStyle(text).fontSize))"
        )
        assert len(sizes) >= 120
        assert min(sizes) >= 12
    assert window.errors() == []
