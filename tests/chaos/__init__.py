"""The real process killed at random under load, again and again; what it acknowledged must be there, once."""
