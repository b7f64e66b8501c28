"""All gates in one call: what becomes of a source text in one environment."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax

from covey.authored.contract import Contract
from covey.authored.gates import examine
from covey.authored.limits import Limits
from covey.authored.numbers import check_cost
from covey.authored.prompts import Form
from covey.authored.refusal import Refused
from covey.authored.report import Admission
from covey.authored.rollouts import LANES, MOST_BYTES, sample_views
from covey.authored.terms_gates import examine_terms
from covey.authored.trial import LONGEST, Trial, demand_useful, demands_of, trial
from covey.authored.views import Views
from covey.core.types import Spec

LEAST_LANES = 4


class Judgment(NamedTuple):
    """Of one text: the gates G0 to G5, how it does at play (None: it never came to that), and who refused it."""

    admission: Admission
    trial: Trial | None
    refused: Refused | None

    @property
    def score(self) -> float:
        """What the prior earns more than random play, per step and agent, of the environment's own reward."""
        assert self.trial is not None
        return self.trial.prior_return - self.trial.random_return


class Judge:
    """Sends texts through the gates of one environment: the same views and the same episodes for all of them."""

    def __init__(
        self,
        environment: Any,
        contract: Contract,
        limits: Limits | None = None,
        *,
        seed: int = 0,
        steps: int | None = None,
        give_up_isolation: bool = False,
        form: Form = "code",
    ):
        self.environment = environment
        self.contract = contract
        self.limits = limits or Limits()
        self.steps = steps or min(environment.spec.time_limit or LONGEST, LONGEST)
        self.lanes = lanes_that_fit(environment.spec, self.steps)
        self.form = form
        self._give_up_isolation = give_up_isolation
        self._k_views, self._k_trial = jax.random.split(jax.random.key(seed))

    @functools.cached_property
    def views(self) -> Views:
        """Played when the first text is there, and not before somebody answers at all."""
        return sample_views(self.contract, self.environment, self._k_views, self.limits.views)

    def __call__(self, answer: str) -> Judgment:
        about = (answer, self.contract, self.views, self.limits)
        if self.form == "terms":
            admission = examine_terms(*about)
        else:
            admission = examine(*about, give_up_isolation=self._give_up_isolation)
        if admission.authored is None:
            return Judgment(admission, None, _refused(admission))
        found = trial(self.environment, admission.authored, self._k_trial, self.lanes, self.steps)
        try:
            demand_useful(found, demands_of(self.environment))
            admission.report.passes("G6")
            check_cost(admission.report, self.contract, self.limits)
        except Refused as refused:
            admission.report.refuses(refused)
            return Judgment(admission, found, refused)
        return Judgment(admission, found, None)


def lanes_that_fit(spec: Spec, steps: int) -> int:
    """Environments to play side by side, so that what they show for so many steps, twice, takes 256 MB at most."""
    shown = sum(group.size * group.obs_size for group in spec.groups.values())
    return max(LEAST_LANES, min(LANES, MOST_BYTES // (2 * 4 * steps * max(shown, 1))))


def _refused(admission: Admission) -> Refused:
    refused = admission.report.refused
    assert refused is not None
    return Refused(refused["gate"], refused["sentence"], refused["detail"])
