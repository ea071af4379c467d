"""Translation of sentences with a trained model or an ensemble."""
