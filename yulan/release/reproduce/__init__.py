"""A release made or trained again, in a clone of its own, and a signed report of what came out equal."""
