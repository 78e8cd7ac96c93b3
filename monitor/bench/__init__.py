"""How fast texts become labels, beside the peers that are installed, in one run."""
