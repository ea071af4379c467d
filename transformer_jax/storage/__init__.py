"""Files: paths local and remote, lines of text."""
