"""Sentence pairs: read, tokenised, packed into rows, and dealt out as batches."""
