"""Table 1: what a layer costs, how it waits, and how far apart positions are."""
