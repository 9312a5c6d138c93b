"""Side by side with the tools that do the same, in one run: ratios, not absolute times."""
