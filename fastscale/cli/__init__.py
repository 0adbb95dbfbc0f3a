"""The command line: fit, batch, compare, verdicts, optimal, derive, sensitivity, check and laws from the shell.

Nothing here imports the engine until a command needs it, so that help and version answer at once.
"""

from fastscale.cli.app import app
from fastscale.cli.batch import EPILOG as BATCH_EPILOG
from fastscale.cli.batch import batch
from fastscale.cli.check import EPILOG as CHECK_EPILOG
from fastscale.cli.check import check
from fastscale.cli.compare import EPILOG as COMPARE_EPILOG
from fastscale.cli.compare import compare
from fastscale.cli.derive import EPILOG as DERIVE_EPILOG
from fastscale.cli.derive import derive
from fastscale.cli.fit import EPILOG as FIT_EPILOG
from fastscale.cli.fit import fit
from fastscale.cli.laws import EPILOG as LAWS_EPILOG
from fastscale.cli.laws import laws
from fastscale.cli.optimal import EPILOG as OPTIMAL_EPILOG
from fastscale.cli.optimal import optimal
from fastscale.cli.sensitivity import EPILOG as SENSITIVITY_EPILOG
from fastscale.cli.sensitivity import sensitivity
from fastscale.cli.verdicts import EPILOG as VERDICTS_EPILOG
from fastscale.cli.verdicts import verdicts

__all__ = ["app", "main"]

app.command(epilog=FIT_EPILOG)(fit)
app.command(epilog=BATCH_EPILOG)(batch)
app.command(epilog=COMPARE_EPILOG)(compare)
app.command(epilog=VERDICTS_EPILOG)(verdicts)
app.command(epilog=OPTIMAL_EPILOG)(optimal)
app.command(epilog=DERIVE_EPILOG)(derive)
app.command(epilog=SENSITIVITY_EPILOG)(sensitivity)
app.command(epilog=CHECK_EPILOG)(check)
app.command(epilog=LAWS_EPILOG)(laws)


def main() -> None:
    """Run the command line on the arguments of this process."""
    app(prog_name="fastscale")
