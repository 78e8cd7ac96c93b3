"""The phrase material of the sample stream: frames, invented companies, numbers, damage."""
