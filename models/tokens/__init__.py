"""Token classification: words of a text to tags of entities, on the encoder of the other tasks."""
