"""How the constants of `data/engines/` come about: published tables, a joint fit with priors, held-out scores."""
