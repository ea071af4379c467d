"""Rematerialisation: what a layer stores for the backward pass or computes again."""

import jax

# The `checkpoint_name` of activations that are expensive to compute: products with
# parameters, and the residual sums.
KEPT = "kept"

POLICIES = {
    "cheap": jax.checkpoint_policies.save_only_these_names(KEPT),
    "layer": jax.checkpoint_policies.nothing_saveable,
}
