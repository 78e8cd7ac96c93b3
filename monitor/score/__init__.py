"""From text to verdict: micro-batches through the model."""
