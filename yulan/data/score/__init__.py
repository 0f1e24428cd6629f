"""Split sources by what their documents are like. What a score says is likeness to reference sources, not a judgement."""
