"""The loss of a batch, in training and evaluation."""
