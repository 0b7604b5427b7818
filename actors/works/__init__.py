"""What operations do: one kind, one class, one file."""
