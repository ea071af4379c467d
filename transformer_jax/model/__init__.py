"""The model, one file for each idea of section 3 of the paper."""
