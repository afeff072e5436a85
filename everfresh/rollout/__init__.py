"""How a new version takes over on a project's targets."""
