"""The CRDs of Experiment and ParameterSweep, and their field reference, from flows/operator/resources/schema.py."""
