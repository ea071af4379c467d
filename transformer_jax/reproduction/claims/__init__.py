"""What the text of the paper claims beside its tables, measured on small models."""
