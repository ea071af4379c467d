"""Files of any size, line by line."""
