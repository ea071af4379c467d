"""What a model says of translations that are given."""
