"""The frozen models: parameters, what passes between the steps, records, and how they rank."""
