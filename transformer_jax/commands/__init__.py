"""What the command line can do: one function for each command."""
