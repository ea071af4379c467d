"""Scores of text against text: BLEU, chrF, TER, significance."""
