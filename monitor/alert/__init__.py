"""From alert to receiver: grouping, signing, retries, the guard against SSRF."""
