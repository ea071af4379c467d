"""The tables of the paper made again, each number with a verdict."""
