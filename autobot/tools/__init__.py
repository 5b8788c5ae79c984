"""What the platform can do, by name: automations' steps, agents and MCP clients choose from it."""
