"""The commands and their options."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from rlcore import __version__
from rlcore.arguments import MOST_THREADS
from rlcore.cli import as_json
from rlcore.cli.facts import facts_of, size_in_words
from rlcore.cli.failures import BAD_INPUT, NOT_WRITTEN, OneLineErrors, fail
from rlcore.cli.model_argument import NamedModel, read_model
from rlcore.cli.policy_argument import NamedPolicy, read_policy
from rlcore.cli.progress import ProgressBar
from rlcore.cli.reports import Question, show_evaluation, show_facts, show_occupancy, show_settings
from rlcore.cli.setting_argument import FORMS, read_gammas, read_setting
from rlcore.cli.terminal import error_console, output, write
from rlcore.errors import ArgumentError, MissingPackageError
from rlcore.evaluation import evaluate as evaluate_policy
from rlcore.io.file import save
from rlcore.mdp import MDP
from rlcore.occupancy import occupancy as find_occupancy
from rlcore.results import FloatArray
from rlcore.settings import Discounted, Setting
from rlcore.settings_comparison import SettingsComparison, compare_settings

app = typer.Typer(
    cls=OneLineErrors,
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Exact, certified answers about policies on finite Markov decision processes.",
)

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        show_default=False,
        help="gym:ID for a Gymnasium environment with a table of its dynamics; gallery:NAME; or the file of a saved "
        "model. Arguments follow after colons: gym:FrozenLake-v1:map_name=8x8, gallery:garnet:S=1000:A=4:b=5.",
    ),
]
Gamma = Annotated[
    float | None, typer.Option("--gamma", metavar="G", show_default=False, help="Discount factor, 0 <= G < 1.")
]
SettingName = Annotated[
    str | None,
    typer.Option("--setting", metavar="SETTING", show_default=False, help=f"In place of --gamma: {FORMS}."),
]
Policy = Annotated[
    str,
    typer.Option(
        "--policy",
        metavar="POLICY",
        help="uniform; greedy, which is greedy for the values of the uniform policy: one step of improvement; or a "
        "file, .npy, .csv or .json, with a probability for each action of each state, or with one action for each "
        "state.",
    ),
]
Tolerance = Annotated[
    float,
    typer.Option("--tol", metavar="T", help="The error asked for, relative to the largest; 0 for the best attainable."),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", metavar="N", min=1, max=MOST_THREADS, show_default="one per core", help="Threads to use."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, in full precision, and nothing else.")]
Explain = Annotated[bool, typer.Option("--explain", help="Tell how the answer was found.")]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=0, show_default="what is useful", help="Rows of the table of states."),
]

Answer = TypeVar("Answer")


@app.callback()
def start(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False
) -> None:
    """Say the version, or how to go on when no command is given."""
    if version:
        typer.echo(f"rlcore {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(BAD_INPUT)


@app.command(help="What is a policy worth? The value of every state and of the start, with a proven error bound.")
def evaluate(
    model: Model,
    gamma: Gamma = None,
    setting: SettingName = None,
    policy: Policy = "uniform",
    tol: Tolerance = 1e-9,
    threads: Threads = None,
    limit: Limit = None,
    explain: Explain = False,
    json: Json = False,
) -> None:
    """Answer `rlcore evaluate`."""
    asked = read_setting(gamma, setting)
    named, chosen, found = _solve(evaluate_policy, model, asked, policy, tol, threads, explain)
    if json:
        write(as_json.as_text(as_json.evaluation_document(named, chosen, asked, found)))
        return
    with output() as console:
        show_evaluation(Question(named, chosen, asked, tol, limit), found, console)


@app.command(help="Where does a policy go? The visits to every state, with a proven error bound.")
def occupancy(
    model: Model,
    gamma: Gamma = None,
    setting: SettingName = None,
    policy: Policy = "uniform",
    tol: Tolerance = 1e-9,
    threads: Threads = None,
    limit: Limit = None,
    explain: Explain = False,
    json: Json = False,
) -> None:
    """Answer `rlcore occupancy`."""
    asked = read_setting(gamma, setting)
    named, chosen, found = _solve(find_occupancy, model, asked, policy, tol, threads, explain)
    if json:
        write(as_json.as_text(as_json.occupancy_document(named, chosen, asked, found)))
        return
    with output() as console:
        show_occupancy(Question(named, chosen, asked, tol, limit), found, console)


@app.command(help="What is a policy in each kind of task? Start values, objectives and visits, discounted and not.")
def settings(
    model: Model,
    policy: Policy = "uniform",
    gammas: Annotated[str, typer.Option("--gammas", metavar="G,G,...", help="Discount factors.")] = ".9,.99,.999",
    tol: Tolerance = 1e-9,
    threads: Threads = None,
    json: Json = False,
    figure: Annotated[
        str | None, typer.Option("--figure", metavar="FILE", show_default=False, help="Draw a picture: .svg, .png, ...")
    ] = None,
) -> None:
    """Answer `rlcore settings`."""
    factors = read_gammas(gammas)

    def compare(mdp: MDP, array: FloatArray, _: Setting, *, explain: bool, **solving: Any) -> SettingsComparison:
        del explain
        return compare_settings(mdp, array, factors, **solving)

    asked = Discounted(factors[-1])  # in which a greedy policy is greedy
    named, chosen, found = _solve(compare, model, asked, policy, tol, threads, False)
    if figure is not None:
        _draw(named, found, figure)
    if json:
        write(as_json.as_text(as_json.settings_document(named, chosen, found)))
        return
    with output() as console:
        show_settings(Question(named, chosen, asked, tol, None), found, console)


@app.command(help="What is this model? Its sizes, its rewards, where it starts and whether it ends.")
def info(model: Model, json: Json = False) -> None:
    """Answer `rlcore info`."""
    named = read_model(model, error_console())
    facts = facts_of(named.mdp)
    if json:
        write(as_json.as_text(as_json.info_document(named, facts)))
        return
    with output() as console:
        show_facts(named, facts, console)


@app.command(help="Save a model to a file, which opens at once however large it is.")
def convert(
    model: Model,
    file: Annotated[
        str, typer.Argument(metavar="FILE", show_default=False, help="Where to write it, such as model.npz.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
) -> None:
    """Answer `rlcore convert`."""
    if os.path.lexists(file) and not force:
        raise ArgumentError(f"FILE: {file!r} exists; choose another name, or replace it with --force")
    named = read_model(model, error_console())
    try:
        save(named.mdp, file)
        written = os.path.getsize(file)
    except OSError as error:
        raise typer.Exit(fail(f"cannot write {file!r}: {error.strerror}", NOT_WRITTEN)) from None
    typer.echo(f"{file}  {size_in_words(named.mdp)}, {written:,} bytes")


def _solve(
    function: Callable[..., Answer],
    model: str,
    setting: Setting,
    policy: str,
    tol: float,
    threads: int | None,
    explain: bool,
) -> tuple[NamedModel, NamedPolicy, Answer]:
    """Read model and policy, and ask the function about them."""
    named = read_model(model, error_console())
    with ProgressBar(error_console()) as progress:
        solving = {"tol": tol, "num_threads": threads, "progress": progress}
        chosen = read_policy(policy, named.mdp, setting, **solving)
        return named, chosen, function(named.mdp, chosen.array, setting, explain=explain, **solving)


def _draw(named: NamedModel, found: SettingsComparison, file: str) -> None:
    """Save a picture of a comparison of settings."""
    from rlcore import plot

    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingPackageError(
            "--figure needs Matplotlib, which is not installed; pip install 'rlcore[plot]'"
        ) from None
    figure = Figure(figsize=(11.0, 3.8), layout="constrained")  # no window, whatever Matplotlib is set to
    left, right = figure.subplots(1, 2)
    plot.settings(named.mdp, found, left)
    plot.objectives(found, right)
    try:
        figure.savefig(file)
    except ValueError as error:
        raise ArgumentError(f"FILE: cannot draw into {file!r}: {error}") from None
    except OSError as error:
        raise typer.Exit(fail(f"cannot write {file!r}: {error.strerror}", NOT_WRITTEN)) from None
