"""Credit assignment as a part of PPO: what a member of a team is told of the team's advantage.

base    what every kind is shown and says; `Team`: nothing is modelled
model   a model of the joint action, fitted to sampled advantages of the team, and its ledgers
kinds   what an agent learns from, out of both
recent  the latest rollouts, from which models go on learning
fitting how they do
first   the algorithm as its author first wrote it
"""

from covey.algorithms.credit.base import Choices, Credit, Facts, Learned, Shown, Team, choices_of
from covey.algorithms.credit.first import Seed
from covey.algorithms.credit.fitting import Known, fitted, unknown
from covey.algorithms.credit.kinds import Baseline, Blend, Coma, Marginal, Shapley, Slope, Trajectory
from covey.algorithms.credit.model import Modelled, ledgers
from covey.algorithms.credit.recent import Lesson, Recent, drawn, kept, nothing

__all__ = [
    "Baseline",
    "Blend",
    "Choices",
    "Coma",
    "Credit",
    "Facts",
    "Known",
    "Learned",
    "Lesson",
    "Marginal",
    "Modelled",
    "Recent",
    "Seed",
    "Shapley",
    "Shown",
    "Slope",
    "Team",
    "Trajectory",
    "choices_of",
    "drawn",
    "fitted",
    "kept",
    "ledgers",
    "nothing",
    "unknown",
]
