"""What a layer keeps for the backward pass, and what it computes again there."""

import jax

# The name, under `jax.ad_checkpoint.checkpoint_name`, of what is dear to compute: the
# results of products with parameters, and the sums that residuals add them to.
KEPT = "kept"

POLICIES = {
    "cheap": jax.checkpoint_policies.save_only_these_names(KEPT),
    "layer": jax.checkpoint_policies.nothing_saveable,
}
