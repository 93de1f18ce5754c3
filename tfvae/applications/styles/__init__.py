"""Pictures rendered in the styles that a model learnt."""
