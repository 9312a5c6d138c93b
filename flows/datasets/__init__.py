"""Where months and the zone table come from: names, the object store, TLC, uploads, synthetic months."""
