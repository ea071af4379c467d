"""Turns a model's next-token probabilities into sequences."""
