"""Commands whose errors say what was given and what is allowed, and a group that loads them when needed."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from typing import IO, Any

import click

from axft_spec.errors import AxftError, unknown_name

__all__ = ["DIFFERENT", "INTERRUPTED", "Command", "Failure", "Group", "LazyGroup"]

#: Exit codes besides 0 and 2 (bad input).
DIFFERENT, INTERRUPTED = 1, 130

_DEBUG = "axft_host.debug"


class Failure(click.ClickException):
    """Bad input: a message for the user, as the last line on stderr."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        click.echo(f"Error: {self.message}", file=file or sys.stderr)


class _Interrupted(Failure):
    exit_code = INTERRUPTED


class _Unwritten(Failure):
    exit_code = 1


#: What makes a write fail although all that was given is right.
_NO_ROOM = {errno.ENOSPC, errno.EIO, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


#: The same as SQLite has it (https://www.sqlite.org/rescode.html): SQLITE_IOERR, SQLITE_FULL; and their texts.
_NO_ROOM_SQLITE, _NO_ROOM_TEXTS = {10, 13}, ("disk I/O error", "database or disk is full")


def _lacks_room(error: BaseException) -> bool:
    """Return whether an error comes from one that says that nothing more can be written."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _NO_ROOM:
            return True
        if type(seen).__module__ == "sqlite3":
            # Python 3.10 does not tell the code.
            code = getattr(seen, "sqlite_errorcode", None)
            if str(seen) in _NO_ROOM_TEXTS if code is None else code & 0xFF in _NO_ROOM_SQLITE:
                return True
        seen = seen.__cause__ or seen.__context__
    return False


def _discard_stdout() -> None:
    """Let what stdout still holds go nowhere: Python would try to write it once more at exit, and complain."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, sys.stdout.fileno())
        finally:
            os.close(nowhere)


def _set_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Be the callback of ``--debug``, wherever on the line it stands."""
    if value:
        ctx.find_root().meta[_DEBUG] = True


def _debug_option() -> click.Option:
    """Return the option ``--debug`` that every command has."""
    return click.Option(
        ["--debug"], is_flag=True, expose_value=False, callback=_set_debug, help="Show the traceback of an error."
    )


def _restated(error: click.UsageError, ctx: click.Context) -> click.UsageError:
    """Return a usage error whose message says what was given and what is allowed."""
    command = ctx.command
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    if isinstance(error, click.NoSuchOption):
        allowed = sorted(name for param in command.params for name in (*param.opts, *param.secondary_opts))
        options = [name for name in (*allowed, "--help") if name.startswith("-")]
        message = unknown_name("option", error.option_name, options)
    elif isinstance(error, click.MissingParameter):
        param = error.param
        name = param.get_error_hint(ctx) if param is not None else "a parameter"
        teaching = f": {param.help.rstrip('.')}" if isinstance(param, click.Option) and param.help else ""
        message = f"{name} is missing{teaching}; allowed: {usage}"
    elif isinstance(error, click.BadParameter):
        return error
    else:
        message = f"{error.message.rstrip('.')}; allowed: {usage}"
    return click.UsageError(message, ctx)


class Command(click.Command):
    """A command with ``--debug``, and with errors as above."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(_debug_option())

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the line; see click."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise _restated(error, click.Context(self, parent, info_name)) from None


class Group(Command, click.Group):
    """A group of such commands, which is one itself."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the line names; see click."""
        if self.get_command(ctx, args[0]) is None:
            raise click.UsageError(unknown_name("command", args[0], self.list_commands(ctx)), ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """The group of all commands, each in a module of its own that is imported when it is needed.

    Parameters
    ----------
    lazy : mapping of str to str
        ``module:attribute`` of every command.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order they are declared in."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None if there is no such one."""
        if cmd_name not in self._lazy:
            return None
        module, _, attribute = self._lazy[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn errors that are meant for users into messages."""
        meta: MutableMapping[str, Any] = ctx.meta
        try:
            return super().invoke(ctx)
        except AxftError as error:
            if meta.get(_DEBUG):
                traceback.print_exc()
            raise (_Unwritten if _lacks_room(error) else Failure)(str(error)) from None
        except OSError as error:
            # Errors about a file name it; a reader that went away is click's business.
            if error.filename is not None or error.errno not in _NO_ROOM:
                raise
            if meta.get(_DEBUG):
                traceback.print_exc()
            _discard_stdout()
            raise _Unwritten(f"the output cannot be written: {error.strerror}") from None
        except KeyboardInterrupt as interrupt:
            if meta.get(_DEBUG):
                traceback.print_exc()
            raise _Interrupted(": ".join(["interrupted", *map(str, interrupt.args)])) from None
