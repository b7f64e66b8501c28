"""Traffic generators: the moments of section 3.3 of the paper's specification, and the gravity model."""

from __future__ import annotations

import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.environments.routing import traffic
from covey.environments.routing.programs import edge_optimum
from covey.environments.routing.splits import ecmp, link_fractions, max_utilization
from covey.environments.routing.topologies import abilene, large


@pytest.fixture(scope="module")
def traces():
    return traffic.moments(2_000, seed=5, lanes=50).reshape(-1, 4)  # the 49 seams hardly show in correlations


def lagged(trace, lag):
    return np.array([np.corrcoef(series[lag:], series[:-lag])[0, 1] for series in trace.T])


def test_means_deviations_and_ranges_of_the_demo(traces):
    np.testing.assert_allclose(traces.mean(0), [42.7, 55.0, 39.0, 52.3], rtol=0.03)
    np.testing.assert_allclose(traces.std(0), [17.8, 10.8, 18.7, 10.6], rtol=0.08)
    assert (traces.min(0) >= [8, 31, 7, 30]).all()
    assert (traces.max(0) <= [110, 92, 98, 90]).all()


def test_correlations_of_the_demo(traces):
    assert ((lagged(traces, 1) > 0.85) & (lagged(traces, 1) < 0.91)).all()
    assert ((lagged(traces, 7) > 0.63) & (lagged(traces, 7) < 0.77)).all()
    cross = np.corrcoef(traces.T)
    np.testing.assert_allclose(cross[0, 1:], [-0.38, -0.26, -0.37], atol=0.06)
    assert cross[1, 3] == pytest.approx(0.44, abs=0.06)


def test_moments_are_seeded_and_chosen_by_name():
    both = traffic.moments(50, seed=1, series=("AC", "BD"), scale=4.0)
    np.testing.assert_array_equal(both, 4 * traffic.moments(50, seed=1)[:, [0, 3]])
    assert not np.array_equal(both, traffic.moments(50, seed=2, series=("AC", "BD"), scale=4.0))
    lanes = traffic.moments(50, seed=1, lanes=3)
    assert lanes.shape == (3, 50, 4)
    assert len(np.unique(lanes[:, 0, 0])) == 3
    with pytest.raises(BadInput, match="demand series 'AE' is unknown"):
        traffic.moments(5, seed=0, series=("AE",))


def test_autoregression_is_stationary_from_the_first_step():
    series = traffic.autoregressive(np.random.default_rng(0).normal(size=(20_000, 5, 1)), 0.9)[..., 0]
    np.testing.assert_allclose(series.std(0), 1, atol=0.03)
    assert np.corrcoef(series[:, 3], series[:, 4])[0, 1] == pytest.approx(0.9, abs=0.01)


def test_gravity_hits_its_target_for_ecmp():
    network = abilene().network
    demand = traffic.gravity(network, 600, seed=3, target=0.4)
    hops, ratios, paths, _ = ecmp(network)
    load = demand @ link_fractions(hops, ratios, paths.pairs)
    assert demand.shape == (600, 132)
    assert max_utilization(network, load).mean() == pytest.approx(0.4)
    np.testing.assert_array_equal(demand, traffic.gravity(network, 600, seed=3, target=0.4))


def test_gravity_hits_its_target_for_the_optimum(monkeypatch, tmp_path):
    monkeypatch.setenv("COVEY_CACHE", str(tmp_path))
    network, paths = large()
    demand = traffic.gravity(network, 40, seed=0, pairs=paths.pairs, target=0.7, reference="optimum")
    assert edge_optimum(network, demand, pairs=paths.pairs).optimum.mean() == pytest.approx(0.7, rel=1e-6)


def test_gravity_has_a_day():
    network = abilene().network
    demand = traffic.gravity(network, 10 * 288, seed=0, weekly=0.0).sum(1)
    assert np.corrcoef(demand[288:], demand[:-288])[0, 1] > 0.9
    assert np.corrcoef(demand[144:], demand[:-144])[0, 1] < -0.9


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"target": 0.0}, {"daily": 0.9, "weekly": 0.2}, {"reference": "lp"}])
def test_impossible_gravity_is_refused(wrong):
    with pytest.raises(BadInput):
        traffic.gravity(abilene().network, **{"steps": 5, "seed": 0, **wrong})
