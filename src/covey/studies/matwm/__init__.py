"""MATWM (Deihim et al. 2025, arXiv:2506.18537): what it reaches with few steps, and what its world model knows.

The paper has no results in particle environments, so thresholds are set by rules that play there, and other families
learn from as many steps.
"""
