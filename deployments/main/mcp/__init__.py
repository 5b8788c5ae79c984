"""The platform as a server of the Model Context Protocol: its tools, for any client."""
