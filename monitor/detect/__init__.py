"""From counts to alerts: detectors, baselines, and the life cycle of an alert."""
