"""The Socket.IO gateway: Redis to browsers; it has no database."""
