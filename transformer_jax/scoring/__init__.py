"""Scores and alignments of given translations (teacher forcing)."""
