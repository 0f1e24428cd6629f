"""Whether a machine can run a phase; asked before anything starts. No torch: `plan` asks too."""

from yulan.errors import RecipeError
from yulan.profile import Profile
from yulan.recipe import Phase


def require_able(profile: Profile, phase: Phase) -> None:
    """Raises: RecipeError: the machine cannot run the phase's grid, or asks for what is not there."""
    profile.require_sound()
    if phase.grid % profile.processes:
        raise RecipeError(
            f"{profile.processes} processes do not divide the grid of {phase.grid} micro-batches",
            where="profile processes",
            cure="Choose a profile whose processes divide $.phases.*.grid",
        )
    if profile.launcher == "slurm" and profile.slurm is None:
        raise RecipeError(
            "the launcher slurm has no settings",
            where="profile slurm",
            cure="Give nodes, gpus, minutes, notice, partition, account",
        )
    if profile.slurm is not None and profile.processes % profile.slurm.nodes:
        raise RecipeError(
            f"{profile.processes} processes do not spread evenly over {profile.slurm.nodes} nodes",
            where="profile slurm nodes",
            cure="Choose nodes that divide the processes",
        )
