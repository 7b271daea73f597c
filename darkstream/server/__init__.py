"""The HTTP door of the server wing; routes hold no logic."""
