"""vaelab inside other programs: trainers, trackers and agents."""
