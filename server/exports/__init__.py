"""The archive somebody takes away: everything that is theirs."""
