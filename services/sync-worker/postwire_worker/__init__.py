"""The sync-worker and the watcher: IMAP to PostgreSQL."""
