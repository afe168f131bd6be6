"""From the core's findings to a `Certificate`, and to an error where it falls short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rlcore._core import CertificateFields
from rlcore.errors import ConvergenceError
from rlcore.results import Certificate


def certificate_of(found: CertificateFields, error_bound: Any, bounds: Mapping[str, Any], explain: bool) -> Certificate:
    """Return the certificate; `error_bound` is that of the main field, rounding to doubles included."""
    converged = found.converged
    status: Any
    if isinstance(converged, bool):
        status = "converged" if converged else "stalled"
    else:
        status = tuple("converged" if item else "stalled" for item in converged.ravel().tolist())
    return Certificate(
        error_bound,
        bounds,
        found.residual,
        status,
        found.method,
        found.iterations,
        found.story if explain else None,
    )


def check_converged(result: Any, tol: float, function: str, norm: str) -> None:
    """Raise ConvergenceError, with the result, if an item of it does not meet the tolerance."""
    certificate: Certificate = result.certificate
    status = certificate.status
    if status == "converged":
        return
    where = ""
    if not isinstance(status, str):
        if "stalled" not in status:
            return
        where = f" for item {status.index('stalled')} of the batch"
    raise ConvergenceError(
        f"{function}: expected a relative error of {tol:g}, could not certify it{where}; the best proven bound is "
        f"{np.max(certificate.error_bound):.3g} (tol is relative to {norm}). Ask for a larger tol, for tol=0 (the best "
        "attainable), or pass raise_on_failure=False to take the best answer",
        result,
    )
