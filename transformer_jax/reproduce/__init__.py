"""The tables of the paper, measured again."""
