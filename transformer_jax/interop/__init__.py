"""Models from and to the formats of other programs, one file for each."""
