"""The agent that drives a session: what it sees, what it may do, and when it stops."""
