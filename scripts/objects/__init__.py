"""The CRDs of Experiment and ParameterSweep, and their field reference, from flows/operator/objects/schema.py."""
