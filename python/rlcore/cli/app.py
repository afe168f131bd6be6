"""The commands and their options."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import numpy as np
import typer
from numpy.typing import NDArray

from rlcore import __version__, plot
from rlcore.arguments import MOST_THREADS
from rlcore.audit import audit as audit_policies
from rlcore.cli import as_json, table_file
from rlcore.cli.candidate_argument import BATCH_FORMS, CANDIDATE_FORMS, read_candidate, read_candidates
from rlcore.cli.facts import facts_of, size_in_words
from rlcore.cli.failures import BAD_INPUT, INTERRUPTED, NOT_CERTIFIED, NOT_WRITTEN, VIOLATED, OneLineErrors, fail
from rlcore.cli.family_argument import FamilyName, read_family
from rlcore.cli.gradient_answer import UNDISCOUNTED, Episodes, find_gradient, usual_steps
from rlcore.cli.gradient_reports import show_gradient
from rlcore.cli.improvement_reports import show_audit, show_candidates
from rlcore.cli.model_argument import NamedModel, read_model
from rlcore.cli.policy_argument import NamedPolicy, read_policy
from rlcore.cli.progress import ProgressBar
from rlcore.cli.region_argument import FORMS as REGIONS
from rlcore.cli.region_argument import read_regions
from rlcore.cli.reports import Question, show_evaluation, show_facts, show_occupancy, show_settings, show_solution
from rlcore.cli.runs import LiveTable, show_runs
from rlcore.cli.setting_argument import FORMS, read_gammas, read_setting
from rlcore.cli.terminal import error_console, output, write
from rlcore.errors import ArgumentError, ConvergenceError, MissingPackageError
from rlcore.evaluation import evaluate as evaluate_policy
from rlcore.improve import improve as improve_policy
from rlcore.improvement import NewReturn, check_improvement
from rlcore.improvement_report import ImprovementReport
from rlcore.improvement_run import ImprovementRun
from rlcore.io.file import save
from rlcore.mdp import MDP
from rlcore.occupancy import occupancy as find_occupancy
from rlcore.planning import solve as find_optimum
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

Figure = Annotated[
    str | None, typer.Option("--figure", metavar="FILE", show_default=False, help="Draw a picture: .svg, .png, ...")
]

Answer = TypeVar("Answer")


class Order(StrEnum):
    """By what candidates are sorted, the largest first."""

    GAIN = "gain"
    RETURN = "return"
    SURROGATE = "surrogate"
    NUMBER = "number"


class Known(StrEnum):
    """How the return of a candidate is to be known."""

    EXACT = "exact"
    ENCLOSED = "enclosed"
    SKIP = "skip"


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


@app.command(help="What is the best policy? Its value, and a proven bound on the distance to the optimum.")
def solve(
    model: Model,
    gamma: Gamma = None,
    setting: SettingName = None,
    tol: Tolerance = 1e-6,
    threads: Threads = None,
    limit: Limit = None,
    explain: Explain = False,
    json: Json = False,
    save_policy: Annotated[
        str | None,
        typer.Option(
            "--save", metavar="FILE", show_default=False, help="Write the policy, .npy, as --policy reads it."
        ),
    ] = None,
) -> None:
    """Answer `rlcore solve`."""
    if save_policy is not None and not save_policy.endswith(".npy"):
        raise ArgumentError(f"save: expected a file .npy, got {save_policy!r}")
    asked = read_setting(gamma, setting)
    named = read_model(model, error_console())
    with ProgressBar(error_console()) as progress:
        found = find_optimum(named.mdp, asked, tol=tol, num_threads=threads, progress=progress, explain=explain)
    best = NamedPolicy("optimal", "best policy", found.policy)
    if save_policy is not None:
        try:
            np.save(save_policy, found.policy)
        except OSError as error:
            raise typer.Exit(fail(f"cannot write {save_policy!r}: {error.strerror}", NOT_WRITTEN)) from None
    if json:
        write(as_json.as_text(as_json.solution_document(named, best, asked, found)))
        return
    with output() as console:
        show_solution(Question(named, best, asked, tol, limit), found, console)


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
    figure: Figure = None,
) -> None:
    """Answer `rlcore settings`."""
    factors = read_gammas(gammas)

    def compare(mdp: MDP, array: FloatArray, _: Setting, *, explain: bool, **solving: Any) -> SettingsComparison:
        del explain
        return compare_settings(mdp, array, factors, **solving)

    asked = Discounted(factors[-1])  # in which a greedy policy is greedy
    named, chosen, found = _solve(compare, model, asked, policy, tol, threads, False)
    if figure is not None:

        def draw(left: Any, right: Any) -> None:
            plot.settings(named.mdp, found, left)
            plot.objectives(found, right)

        _draw(draw, figure)
    if json:
        write(as_json.as_text(as_json.settings_document(named, chosen, found)))
        return
    with output() as console:
        show_settings(Question(named, chosen, asked, tol, None), found, console)


@app.command(help="Is a candidate better than a policy? And every statement of the theory, checked on this model.")
def audit(
    model: Model,
    gamma: Gamma = None,
    setting: SettingName = None,
    policy: Policy = "uniform",
    candidate: Annotated[
        str,
        typer.Option(
            "--candidate",
            metavar="CANDIDATE",
            help=f"{CANDIDATE_FORMS}: greedy for the policy's values, or pi exp(step A) normalised, or as in --policy.",
        ),
    ] = "greedy",
    step: Annotated[
        float | None,
        typer.Option("--step", metavar="X", show_default="1 / max|A|", help="The step of softmax-step."),
    ] = None,
    steps: Annotated[
        int, typer.Option("--steps", metavar="N", min=1, help="How many steps of the process are looked at one by one.")
    ] = 20,
    tol: Tolerance = 1e-9,
    threads: Threads = None,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """Answer `rlcore audit`."""
    asked = read_setting(gamma, setting)
    named = read_model(model, error_console())
    with ProgressBar(error_console()) as progress:
        solving: dict[str, Any] = {"tol": tol, "num_threads": threads, "progress": progress}
        chosen = read_policy(policy, named.mdp, asked, **solving)
        new = read_candidate(candidate, named.mdp, chosen, asked, step, **solving)
        found = audit_policies(named.mdp, chosen.array, new.array, asked, steps=steps, **solving)
    if figure is not None:

        def draw(left: Any, right: Any) -> None:
            plot.improvement(named.mdp, chosen.array, new.array, asked, ax=left)
            plot.bounds(found.report, right)

        _draw(draw, figure)
    if json:
        write(as_json.as_text(as_json.audit_document(named, chosen, new, asked, found)))
    else:
        with output() as console:
            show_audit(Question(named, chosen, asked, tol, None), new.description, found, console)
    if found.violated:
        raise typer.Exit(VIOLATED)


@app.command(help="Which candidates are better than a policy, by how much, and what guarantees it?")
def check(
    model: Model,
    base: Annotated[str, typer.Argument(metavar="BASE", show_default=False, help="The policy: as --policy elsewhere.")],
    candidates: Annotated[str, typer.Argument(metavar="CANDIDATES", show_default=False, help=f"{BATCH_FORMS}.")],
    gamma: Gamma = None,
    setting: SettingName = None,
    bounds: Annotated[str, typer.Option("--bounds", metavar="BOUNDS", help="cheap, all or names.")] = "cheap",
    new_return: Annotated[
        Known,
        typer.Option("--new-return", help="Solve for the candidates' returns, enclose them, or use the bounds alone."),
    ] = Known.EXACT,
    sort: Annotated[
        Order, typer.Option("--sort", help="The order of the candidates: gain is what is guaranteed.")
    ] = Order.GAIN,
    top: Annotated[int, typer.Option("--top", metavar="N", min=0, help="Rows of the table that is printed.")] = 20,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FILE", show_default=False, help="Write the whole table: .csv, .json, .parquet."),
    ] = None,
    tol: Tolerance = 1e-9,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Answer `rlcore check`."""
    if out is not None:
        table_file.check_kind(out)
    asked = read_setting(gamma, setting)
    named = read_model(model, error_console())
    with ProgressBar(error_console()) as progress:
        solving: dict[str, Any] = {"tol": tol, "num_threads": threads, "progress": progress}
        chosen = read_policy(base, named.mdp, asked, **solving)
        words, batch = read_candidates(candidates, named.mdp)
        known: NewReturn = new_return.value
        found = check_improvement(named.mdp, chosen.array, batch, asked, bounds=bounds, new_return=known, **solving)
    order = _order(found, sort)
    columns = {"candidate": order.tolist()}
    columns |= {name: [column[item] for item in order] for name, column in found.to_dict().items()}
    if out is not None:
        try:
            table_file.write_table(columns, out)
        except OSError as error:
            raise typer.Exit(fail(f"cannot write {out!r}: {error.strerror}", NOT_WRITTEN)) from None
    if json:
        write(as_json.as_text(as_json.check_document(named, chosen, words, asked, columns, top)))
        return
    with output() as console:
        show_candidates(Question(named, chosen, asked, tol, None), words, found, order, top, console)


@app.command(help="Where does the return rise? The exact policy gradient, and what estimates of it are worth.")
def gradient(
    model: Model,
    gamma: Gamma = None,
    setting: SettingName = None,
    family: Annotated[
        FamilyName,
        typer.Option(
            "--family",
            help="What the parameters are: a preference for each action of each state, the weights of features, or the "
            "probabilities themselves.",
        ),
    ] = FamilyName.TABULAR,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy", metavar="POLICY", show_default="uniform", help="At which policy: as --policy elsewhere."
        ),
    ] = None,
    theta: Annotated[
        str | None,
        typer.Option("--theta", metavar="FILE", show_default=False, help="In place of --policy: the parameters."),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            "--features", metavar="FILE", show_default=False, help="With --family linear: a row for each pair, .npy."
        ),
    ] = None,
    episodes: Annotated[
        int, typer.Option("--episodes", metavar="N", min=0, help="From how many episodes to estimate it; 0 for none.")
    ] = 1000,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            metavar="T",
            min=1,
            show_default="until gamma^T < 1e-4, at most 10000; 1000 without a discount",
            help="After how many steps to cut an episode off.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Which episodes.")] = 0,
    tol: Tolerance = 1e-9,
    threads: Threads = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=0, show_default="12", help="Rows of the table of components."),
    ] = None,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """Answer `rlcore gradient`."""
    asked = read_setting(gamma, setting)
    drawn = Episodes(episodes, steps or usual_steps(asked), seed) if episodes else None
    if figure is not None and drawn is None:
        raise ArgumentError("figure: expected estimates to draw, got --episodes 0")
    named = read_model(model, error_console())
    with ProgressBar(error_console()) as progress:
        solving: dict[str, Any] = {"tol": tol, "num_threads": threads, "progress": progress}
        chosen = read_family(family, policy, theta, features, named.mdp, asked, **solving)
        found = find_gradient(named.mdp, chosen, asked, drawn, **solving)
    if figure is not None:
        discounted = {name: found.estimates[name] for name in found.estimates if not name.endswith(UNDISCOUNTED)}
        others = {name: found.estimates[name] for name in found.estimates if name not in discounted}

        def draw(left: Any, right: Any) -> None:
            plot.gradient_estimates(discounted, ax=left)
            plot.gradient_estimates(others or discounted, ax=right)

        _draw(draw, figure)
    if json:
        write(as_json.as_text(as_json.gradient_document(named, chosen, asked, found)))
        return
    with output() as console:
        show_gradient(Question(named, chosen.policy, asked, tol, limit), chosen, found, console)


@app.command(help="How does a policy climb? Step after step of policy improvement, with the proof of each.")
def improve(
    model: Model,
    region: Annotated[
        list[str],
        typer.Option(
            "--region",
            metavar="REGION",
            show_default=False,
            help=f"What a step may change: {REGIONS}. Several options are compared.",
        ),
    ],
    iterations: Annotated[int, typer.Option("--iterations", metavar="N", min=1, help="The most steps to take.")] = 50,
    gamma: Gamma = None,
    setting: SettingName = None,
    policy: Policy = "uniform",
    optimum: Annotated[
        bool, typer.Option("--optimum/--no-optimum", help="Find the best return of any policy to compare with.")
    ] = True,
    tol: Tolerance = 1e-9,
    threads: Threads = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=0, show_default="12", help="Rows of the table of each region."),
    ] = None,
    figure: Figure = None,
    json: Json = False,
) -> None:
    """Answer `rlcore improve`."""
    regions = read_regions(region)
    asked = read_setting(gamma, setting)
    named = read_model(model, error_console())
    with ProgressBar(error_console()) as progress:
        chosen = read_policy(policy, named.mdp, asked, tol=tol, num_threads=threads, progress=progress)
    runs = _improved(named, chosen, asked, regions, iterations, optimum, tol, threads)
    if figure is not None:

        def draw(left: Any, right: Any) -> None:
            plot.improvement_runs(runs, "eta", left)
            plot.improvement_runs(runs, "gap" if optimum else "improvement", right)

        _draw(draw, figure)
    if json:
        write(as_json.as_text(as_json.improve_document(named, chosen, asked, runs)))
    else:
        with output() as console:
            show_runs(Question(named, chosen, asked, tol, limit), runs, console)
    if any(run.status == "interrupted" for run in runs.values()):
        raise typer.Exit(fail("interrupted", INTERRUPTED))


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


def _improved(
    named: NamedModel,
    policy: NamedPolicy,
    setting: Setting,
    regions: dict[str, Any],
    iterations: int,
    optimum: bool,
    tol: float,
    threads: int | None,
) -> dict[str, ImprovementRun]:
    """Run all regions one after the other, up to an interrupt."""
    runs: dict[str, ImprovementRun] = {}
    best: Any = "solve" if optimum else None
    with LiveTable(error_console(), iterations) as table:
        for name, region in regions.items():
            table.begin(name)
            try:
                run = improve_policy(
                    named.mdp,
                    policy.array,
                    setting,
                    region,
                    iterations,
                    optimum=best,
                    tol=tol,
                    num_threads=threads,
                    progress=table,
                )
            except ConvergenceError as error:
                raise typer.Exit(fail(str(error), NOT_CERTIFIED)) from None
            runs[name], best = run, run.optimum
            if run.status == "interrupted":
                break
    return runs


def _order(found: ImprovementReport, sort: Order) -> NDArray[np.int64]:
    """Return the numbers of the candidates, the best first."""
    if sort is Order.NUMBER:
        return np.arange(len(found))
    key = {Order.GAIN: found.guaranteed, Order.RETURN: found.eta_new, Order.SURROGATE: found.surrogate}[sort]
    if key is None:
        raise ArgumentError("sort: the returns of the candidates are not known with --new-return skip; sort by gain")
    return np.argsort(-np.asarray(key), kind="stable")


def _draw(draw: Callable[[Any, Any], None], file: str) -> None:
    """Save a figure of two pictures side by side."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingPackageError(
            "--figure needs Matplotlib, which is not installed; pip install 'rlcore[plot]'"
        ) from None
    figure = Figure(figsize=(11.0, 3.8), layout="constrained")  # no window, whatever Matplotlib is set to
    draw(*figure.subplots(1, 2))
    try:
        figure.savefig(file)
    except ValueError as error:
        raise ArgumentError(f"FILE: cannot draw into {file!r}: {error}") from None
    except OSError as error:
        raise typer.Exit(fail(f"cannot write {file!r}: {error.strerror}", NOT_WRITTEN)) from None
