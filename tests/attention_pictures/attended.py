"""Pairs and masks drawn by hand."""

import numpy as np

from transformer_jax.attention_pictures.attended_pair import AttendedPair, PieceRow


def drawn(*rows):
    """Returns the mask of a drawing: `.x.` is one query with a place at the second."""
    return np.array([[place == "x" for place in row] for row in rows])


def encoder_pair(text, **settings):
    """Returns the pair of an encoder's attention; blanks separate pieces."""
    row = PieceRow.of_sentence([*text.split(), "</s>"])
    return AttendedPair(row, row, **settings)


def decoder_pair(text):
    written = PieceRow.of_sentence([*text.split(), "</s>"])
    read = written.read_after("<s>")
    return AttendedPair(read, read, written, is_causal=True)


def cross_pair(source, target):
    written = PieceRow.of_sentence([*target.split(), "</s>"])
    keys = PieceRow.of_sentence([*source.split(), "</s>"])
    return AttendedPair(written.read_after("<s>"), keys, written)
