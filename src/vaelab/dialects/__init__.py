"""One folder a trainer: all that is known of it, and of no other."""
