"""What faces clients: the Redis protocol and HTTP. Nothing here decides anything about the data."""
