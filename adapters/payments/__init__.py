"""Payment providers, a package each; what they share."""
