"""Code written for a chip: attention in tiles, random bits."""
