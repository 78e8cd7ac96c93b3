"""Fine-tuning and inference of the multi-task sentiment and topic classifier."""
