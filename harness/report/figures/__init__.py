"""Figures: prepared once as types, drawn by matplotlib (SVG for the page, PNG) and by plotly."""
