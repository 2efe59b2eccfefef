"""Exceptions that mean: what the user gave cannot be used."""


class InputError(Exception):
    """Input or an option that cannot be used.

    The message says what was expected, what came, in which file, key or utterance,
    and what to do. Commands print it as one line, without a traceback.
    """


class BrokenArchive(InputError):
    """An archive from which nothing more can be read, whatever key is asked for.

    Where a wrong entry costs only itself, this still ends the command.
    """


class Unusable(InputError):
    """An utterance that gives no embedding, where others may.

    Attributes:
        kind: why, in the few words that it is counted by.
    """

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class WorkerDied(RuntimeError):
    """A data worker that ended: killed, out of memory, its disk lost.

    The message names the utterance that it was reading; told of as one line, too.
    """
