"""Distances between features of original and reconstructed clips."""

from __future__ import annotations

import torch


def frechet_distance(first: torch.Tensor, second: torch.Tensor) -> float:
    """Squared Fréchet distance of Gaussians fitted to two sets of features, (N, D) and (M, D), N and M at least 2.

    |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), covariances over N - 1 (Dowson & Landau 1982; Heusel et al. 2017).
    With centred features X1, X2 the last trace is the sum of the singular values of X1 X2^T / sqrt((N - 1)(M - 1)): no
    square root of a matrix, and exact when there are fewer clips than features, where common codes fail. On
    ``i3d_features`` this is ``FVD-I3D``. Raises ValueError for fewer than two rows or different widths.
    """
    if first.ndim != 2 or second.ndim != 2 or min(len(first), len(second)) < 2 or first.shape[1] != second.shape[1]:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"A Fréchet distance needs two sets (N, D) of at least 2 rows and one width, not {shapes}")
    first, second = first.detach().double().cpu(), second.detach().double().cpu()
    shift = (first.mean(0) - second.mean(0)).square().sum()
    root1, root2 = _root(first), _root(second)
    overlap = torch.linalg.svdvals(root1 @ root2.T).sum()
    distance = shift + root1.square().sum() + root2.square().sum() - 2 * overlap
    return max(0.0, distance.item())  # rounding may leave -1e-12


def paired_feature_distance(originals: torch.Tensor, reconstructions: torch.Tensor) -> float:
    """Mean squared distance between the features of a clip and of its own reconstruction, (N, D) twice, N at least 1.

    In the unit of ``frechet_distance`` and (but for the factor N / (N - 1) of covariances) never below it. It needs no
    fitted Gaussians, so it is free of their small-sample bias.
    """
    if originals.ndim != 2 or originals.shape != reconstructions.shape or not len(originals):
        shapes = f"{tuple(originals.shape)} and {tuple(reconstructions.shape)}"
        raise ValueError(f"A paired distance needs two sets (N, D) of one shape, not {shapes}")
    return (originals.double() - reconstructions.double()).square().sum(1).mean().item()


def _root(features: torch.Tensor) -> torch.Tensor:
    """R with R^T R = covariance, at most D rows."""
    centred = (features - features.mean(0)) / (len(features) - 1) ** 0.5
    return torch.linalg.qr(centred, mode="r").R if len(features) > features.shape[1] else centred
