"""Mean-field algorithms: agents by the thousand, who answer the mean of what their neighbors do.

means       whose actions are averaged, and what is known of them
networks    functions of an observation and a mean action: networks and tables
choosing    from values to choices: Boltzmann, ε-greedy
field       what both rules share: means that are remembered, foreseen and learned from
q           MF-Q and independent Q-learning
ac          MF-AC, AC and MF-PPO
"""
