"""Translation of text files of any size, line by line, resumable."""
