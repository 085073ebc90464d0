"""Entry point `finetune-tui`: without a sub-command it opens the app.

Sub-commands live in `tui.cli` and are imported only when called, so that `--help` and the app's start stay quick.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import click

from storage.errors import FinetuneError

# name -> (module, function, one line for --help); the module is imported when the command is called.
COMMANDS = {
    "demo": ("tui.cli.demo", "demo", "Run the whole loop on the shipped model, from feedback to a promoted version."),
    "record": ("tui.cli.data", "record", "Record model outputs with their feedback, from flags or JSON on stdin."),
    "import": ("tui.cli.imports", "import_files", "Import chats, ratings and datasets of other programs."),
    "export": ("tui.cli.exports", "export_dataset", "Write a dataset for another tool, or a bundle for another store."),
    "build-dataset": ("tui.cli.build_dataset", "build_dataset", "Make examples from a folder of documents or code."),
    "review": ("tui.cli.review", "review_command", "Judge outputs: good, bad, corrected; what to judge next."),
    "categories": ("tui.cli.categories", "categories", "List categories, show one, or the events of other programs."),
    "duplicates": ("tui.cli.duplicates", "duplicates", "Groups of near-duplicate outputs of a category."),
    "clean-up": ("tui.cli.clean_up", "clean_up_command", "Remove the oldest, least useful events beyond the limit."),
    "explain": ("tui.cli.explain", "explain_command", "Why an output counts as it does, and whether it is learned."),
    "hard-negatives": ("tui.cli.hard_negatives", "hard_negatives_command", "What the model fails on, worst first."),
    "preferences": ("tui.cli.preferences", "preferences", "Preference pairs of a category, and contradictions."),
    "candidates": ("tui.cli.candidates", "candidates", "Let a model answer prompts several times, scored and ranked."),
    "stats": ("tui.cli.data", "stats", "Totals by category, tier and source; runs, versions, win rates."),
    "report": ("tui.cli.report", "report", "Write one HTML page with the plots: scores, tiers, A/B intervals, runs."),
    "search": ("tui.cli.search", "search", "Search for good training settings of a category, trial by trial."),
    "worker": ("tui.cli.worker", "worker", "Train by itself whenever enough new feedback is there."),
    "serve": ("tui.cli.serve", "serve", "Answer applications in place of Ollama, and record what is answered."),
    "hooks": ("tui.cli.hooks", "hooks", "List, try and deliver what other programs are told of the loop."),
    "train": ("tui.cli.runs", "train", "Train a new version of a category from its feedback."),
    "resume": ("tui.cli.runs", "resume", "Go on with a run that was stopped, failed or killed."),
    "runs": ("tui.cli.runs", "runs", "List runs, show one, or stop one."),
    "ab": ("tui.cli.ab", "ab", "Compare a version with what serves today on held-out prompts."),
    "models": ("tui.cli.models", "models", "List versions, or show one with its proof."),
    "watch": ("tui.cli.watch", "watch", "How what serves does in production, against what served before."),
    "promote": ("tui.cli.release", "promote", "Point a category's alias at a proved version."),
    "rollback": ("tui.cli.release", "rollback", "Point a category's alias back at the version before."),
    "undo": ("tui.cli.release", "undo", "Take back the last promote or rollback of a category."),
    "config": ("tui.cli.config", "config", "List, show, set and check settings; comments in config.toml stay."),
    "doctor": ("tui.cli.admin", "doctor", "Check the installation, the store, disk, memory and serving."),
    "backup": ("tui.cli.admin", "backup", "Write a whole copy of the store while it is in use."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, function, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that holds everything (else $FINETUNE_TUI_HOME, else the platform's data folder).",
)
@click.version_option(package_name="finetune-tui", message="finetune-tui %(version)s")
@click.pass_context
def cli(ctx: click.Context, home: Path | None) -> None:
    """The feedback you give your local model, turned into a better local model.

    Without a command the full-screen app opens.
    """
    ctx.obj = home
    if ctx.invoked_subcommand is None:
        from core.paths import locate_home
        from tui.app import FinetuneApp

        FinetuneApp(locate_home(home)).run()


def main() -> None:
    """Run the command line; an error that the user can act on ends with exit code 1 and its next step."""
    try:
        code = _code()
    except BrokenPipeError:
        # Whoever read the output is gone; Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        code = _refused(error)
    sys.exit(code)


def _refused(error: OSError) -> int:
    from tui.cli.output import report_error

    said = FinetuneError(
        f"{error.filename or 'The output'} cannot be read or written: {error.strerror or error}.",
        title="The system refused",
        hint="Check its permissions and the free space on its disk.",
    )
    # Without a file's name it was the standard output itself that failed.
    report_error(said, as_json="--json" in sys.argv and error.filename is not None)
    return 1


def _code() -> int:
    from tui.cli.output import report_error

    as_json = "--json" in sys.argv
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        if as_json:
            report_error(FinetuneError(error.format_message(), title="Wrong usage", hint="Add --help."), as_json=True)
        else:
            error.show()
        return error.exit_code
    except FinetuneError as error:
        report_error(error, as_json=as_json)
        return 1
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    main()
