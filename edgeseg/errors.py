"""Every error edgeseg raises on purpose.

Each can be caught by its own name, as ``EdgesegError``, or as the builtin it also is.
"""


class EdgesegError(Exception):
    """Root of the errors edgeseg raises on purpose; its text says what to do."""


class ConfigError(EdgesegError, ValueError):
    """A setting, or a combination of settings, that cannot work."""


class DataError(EdgesegError, ValueError):
    """A data set, or a table that belongs to it, is incomplete or contradicts itself."""


class DeviceError(EdgesegError, RuntimeError):
    """The device that was asked for cannot run the model here."""


class ImageDecodeError(EdgesegError, ValueError):
    """A file is not an image that can be read rightly."""


class MissingExtraError(EdgesegError, ImportError):
    """A command needs packages of an extra that is not installed."""


class ModelError(EdgesegError, ValueError):
    """A model file cannot be used as it is."""


class ModelNotFoundError(EdgesegError, FileNotFoundError):
    """There is no bundled model and no file of that name."""


class InputNotFoundError(EdgesegError, FileNotFoundError):
    """There is nothing to read at a path that was given."""


class OutputExistsError(EdgesegError, FileExistsError):
    """Writing would overwrite results that are already there."""


class OutputLockedError(EdgesegError, BlockingIOError):
    """Another process is writing into the same folder."""


class OutputWriteError(EdgesegError, OSError):
    """An output cannot be written: no permission, no space, or a file where a folder must be."""


class OutputNameError(OutputWriteError):
    """An output cannot be written under its name, though others beside it may."""


class ParityError(EdgesegError, ArithmeticError):
    """An exported model does not compute what its source computes."""
