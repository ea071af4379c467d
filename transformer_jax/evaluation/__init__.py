"""Evaluation of a trained model: loss, perplexity, BLEU and other metrics."""
