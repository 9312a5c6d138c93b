"""What everything else stands on: errors, settings, limits, atomic files. Knows nothing of trips."""
