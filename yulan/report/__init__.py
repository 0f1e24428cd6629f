"""Pictures and the page: what a build did, drawn from its manifests and results alone."""
