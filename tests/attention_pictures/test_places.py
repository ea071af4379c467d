"""The places that jobs describe, against masks drawn by hand."""

import numpy as np
from attention_pictures.attended import cross_pair, decoder_pair, drawn, encoder_pair

from transformer_jax.attention_pictures import places

same = np.testing.assert_array_equal


def test_offsets_and_ends():
    pair = encoder_pair("▁a ▁b")
    same(places.at_offset(-1)(pair), drawn("...", "x..", ".x."))
    same(places.at_offset(2)(pair), drawn("..x", "...", "..."))
    same(places.first_key(pair), drawn("x..", "x..", "x.."))
    same(places.last_key(pair), drawn("..x", "..x", "..x"))


def test_the_same_piece_elsewhere_and_what_follows_it():
    pair = encoder_pair("▁a b ▁a c")
    same(places.identical(pair), drawn("..x..", ".....", "x....", ".....", "....."))
    same(
        places.after_identical(pair),
        drawn("...x.", ".....", ".x...", ".....", "....."),
    )


def test_what_follows_the_same_piece_is_not_the_query_itself():
    pair = encoder_pair("▁a ▁a")
    same(places.after_identical(pair), drawn("..x", "...", "..."))


def test_words_of_several_pieces():
    pair = encoder_pair("▁un do ne ▁it ▁is")
    none = "......"
    same(places.word_before(pair), drawn(none, none, none, "x.....", none, none))
    same(places.word_after(pair), drawn("...x..", "...x..", *[none] * 4))
    same(
        places.rest_of_word(pair),
        drawn(".xx...", "x.x...", "xx....", none, none, none),
    )


def test_words_where_the_decoder_reads_one_piece_behind():
    pair = decoder_pair("▁un do ▁it")
    assert pair.queries.pieces == ("<s>", "▁un", "do", "▁it")
    same(places.rest_of_word(pair), drawn("....", "..x.", ".x..", "...."))
    same(places.word_before(pair), drawn("....", "....", "....", ".x.."))


def test_punctuation_is_told_by_the_whole_piece():
    pair = encoder_pair("▁No , ▁3 . ▁a.b .")
    same(places.pieces_like(",")(pair)[0], drawn(".x.....")[0])
    stops = places.pieces_like(".!?")(pair)
    same(stops[0], drawn("...x.x.")[0])
    same(stops[3], drawn(".....x.")[0])  # Elsewhere, not the query itself.
    cross = places.pieces_like(".")(cross_pair("▁a .", "▁b ▁c"))
    same(cross, drawn(".x.", ".x.", ".x."))


def test_equal_words_of_source_and_target():
    pair = cross_pair("▁In ▁20 14 , ▁Anna .", "▁Anna ▁war ▁20 14 . ")
    # "2014," and "Anna." are words of the source; the marks around them do not count.
    written = ["....xx.", ".......", *[".xxx..."] * 3, "......."]
    same(places.copy_of_written(pair), drawn(*written))
    same(places.copy_of_read(pair), drawn(".......", *written[:-1]))


def test_marks_alone_are_no_equal_words():
    pair = cross_pair("▁- ▁a", "▁- ▁b")
    assert not places.copy_of_written(pair).any()


def test_the_diagonal_is_in_proportion():
    pair = cross_pair("▁a ▁b ▁c ▁d", "▁e ▁f")  # 3 queries, 5 keys.
    same(places.diagonal(pair), drawn("x....", "..x..", "....x"))


def test_what_a_query_may_see():
    same(encoder_pair("▁a ▁b").visible(), drawn("xxx", "xxx", "xxx"))
    same(encoder_pair("▁a ▁b", window=1).visible(), drawn("xx.", "xxx", ".xx"))
    same(decoder_pair("▁a ▁b").visible(), drawn("x..", "xx.", "xxx"))
    same(cross_pair("▁a", "▁a ▁b").visible(), drawn("xx", "xx", "xx"))
