"""The built-in corpus, generated from Unicode CLDR."""
