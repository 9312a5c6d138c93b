"""Records in the store: their keys, reading and querying them, and the storage of a sweep under way."""
