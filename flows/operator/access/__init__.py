"""How people get at the stack: addresses and credentials, port-forwards, backup and restore."""
