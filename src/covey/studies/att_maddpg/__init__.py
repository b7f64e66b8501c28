"""ATT-MADDPG (Mao et al. 2018, arXiv:1811.07029): what the paper shows, measured again.

The paper gives no capacities, no demands, no episode length and no termination rule for routing, and no speeds, radius
or metric for its two benchmark tasks. So absolute returns are not comparable; orders, ratios and distances to an exact
optimum are. Every study prints its plan first, and each table says what a row knows.
"""
