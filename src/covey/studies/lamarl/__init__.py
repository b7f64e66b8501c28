"""LAMARL (Zhu et al. 2025, arXiv:2506.01538): what the paper shows, measured again.

The paper defines no "sample efficiency", and its table of results could not be read, so both readings of its 185.9 %
are reported. Shapes are drawn for covey, and robots are discs in a plane: nothing here is about real robots.
"""
