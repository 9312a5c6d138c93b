"""Flow runs as Kubernetes objects: Experiment and ParameterSweep of the group taxi.flows, version v1alpha1.

schema.py says what they hold; controller.py brings each to its end. One object is one flow run: its uid is the run's
idempotency key, so that whatever restarts, no run is started twice.
"""
