"""Gradient-based feature visualization, with Lucid's building blocks.

Article, section "Feature visualization". Everything here works with Lucid's own
`render.render_vis` too.
"""
