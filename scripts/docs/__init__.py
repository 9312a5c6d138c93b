"""The generated parts of the documentation: `python -m scripts.docs` writes them.

Each module holds one part. A page has a part between `<!-- NAME: ... -->` and `<!-- end -->`; what stands outside is
written by hand.
"""
