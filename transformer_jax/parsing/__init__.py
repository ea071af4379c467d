"""Constituency trees: reading, linearisation, EVALB and drawing."""
