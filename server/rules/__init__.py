"""Pure rules of the domain: no input, no output."""
