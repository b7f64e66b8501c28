"""Shares that sum to one. NumPy, on the host."""

from __future__ import annotations

import numpy as np


def normalize(weights: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Weights over the last axis as shares that sum to 1; equal shares of the valid ones where all weights are 0."""
    weights = np.where(valid, weights, 0.0)
    weights = np.where(weights.sum(-1, keepdims=True) > 0, weights, valid)
    return weights / np.maximum(weights.sum(-1, keepdims=True), np.finfo(float).tiny)
