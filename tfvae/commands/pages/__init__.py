"""HTML pages that commands write: pictures before and after, and the dreams of a model."""
