"""The rule lab: what other rules would have said of the traffic that is stored."""
