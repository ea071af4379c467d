"""Compiled programs: what they say and what they cost."""
