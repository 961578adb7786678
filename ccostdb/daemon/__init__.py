"""The process that keeps running, and how it is started, found, ended and installed as a service."""
