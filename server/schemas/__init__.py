"""Types of what comes in and goes out; they validate and they document."""
