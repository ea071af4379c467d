"""Measures what a model has learnt."""
