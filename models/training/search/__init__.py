"""Search for hyper-parameters on the held-out part of the training files; resumable, pruned."""
