"""Sentences in, trees out: the model as a parser, and its F1. Paper: section 6.3."""
