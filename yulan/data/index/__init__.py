"""The published index: which document was trained on in which phase, step and position, under one root that a release pins."""
