"""Settings: declaration, checks, reading."""
