"""Pictures of attention weights, as in the paper's figures 3 to 5."""
