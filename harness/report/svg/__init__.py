"""Plots as inline SVG: one module per kind of plot. Colours come from the page's style sheet."""
