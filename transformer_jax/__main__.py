"""`python -m transformer_jax` is the command `transformer-jax`."""

from transformer_jax.cli import main

raise SystemExit(main())
