"""Talking to servers: endpoints that share work, tries with back-off, an event loop behind a synchronous face."""
