"""What one flow run works with: settings, store and files; restarts; what it gives back and publishes."""
