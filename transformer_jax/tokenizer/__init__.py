"""Subwords, by SentencePiece."""
