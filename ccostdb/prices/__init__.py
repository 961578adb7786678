"""Prices: names of models, dated rates and where they come from, what a call costs."""
