"""How hypothesis tries examples on a machine that does much else."""

from hypothesis import HealthCheck, settings

AT_ANY_PACE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""By the clock on the wall a slow example, or a slow choice of one, is no finding."""
