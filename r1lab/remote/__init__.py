"""Talking to servers: endpoints that share the work, tries with back-off, an event loop behind a synchronous face."""
