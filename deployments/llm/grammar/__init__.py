"""JSON schemas as grammars that an engine decodes under: small, unambiguous, and honest about what
they do not hold."""
