"""The REST API of Postwire."""
