"""The TPM, by the `tpm2` program of tpm2-tools, and what its response codes mean.

No step leaves a file: what the tools read and write are descriptors of memory, which end with us.
"""

import os
import re
import time
from typing import Self

from errors import LockedError, TpmRefusedError
from linux import programs

PROGRAM, PACKAGE = "tpm2", "tpm2-tools"
_MANAGED = "/dev/tpmrm0"
"""Here the kernel gives each program a TPM of its own, and tidies up after it."""
DEVICES = (_MANAGED, "/dev/tpm0")

AUTH_FAIL, BAD_AUTH, HANDLE, NV_UNINITIALIZED, NV_DEFINED = 0x8E, 0xA2, 0x8B, 0x14A, 0x14C
_POLICY_FAIL, _INTEGRITY, _PCR_CHANGED, _LOCKOUT, _BAD_TAG = 0x9D, 0x9F, 0x128, 0x921, 0x1E
_MEASURED = "what this boot measured is not what the image was sealed to"
_OWNED = "the TPM's owner hierarchy has a password"
_MEANING = {
    AUTH_FAIL: _OWNED,
    BAD_AUTH: _OWNED,
    _POLICY_FAIL: _MEASURED,
    _PCR_CHANGED: _MEASURED,
    _INTEGRITY: "what was sealed is damaged, or sealed by another TPM",
    _LOCKOUT: "the TPM is locked after too many wrong PINs, and takes none for a while",
    _BAD_TAG: "the TPM is no TPM 2.0",
}
"""TPM 2.0 Library, part 2, "TPM_RC"; without the number of the parameter, handle or session."""
_FORMAT_ONE, _FORMAT_ONE_MASK, _VERSION_ONE_MASK = 0x80, 0xBF, 0xFFF
_TPM_LAYERS = (0, 0xB)
"""The TPM itself, and its resource manager; other layers are the tools' own."""
_FILLS = frozenset({"createprimary", "startauthsession", "load", "create", "unseal"})
"""Tools that leave an object in a TPM without a resource manager, which has room for three."""


class Memory:
    """A file for a tool, in memory only."""

    def __init__(self, contents: bytes = b"") -> None:
        self.fd = os.memfd_create("torpor")
        os.write(self.fd, contents)

    def __str__(self) -> str:
        return f"/proc/self/fd/{self.fd}"

    def contents(self) -> bytes:
        """Return what it holds now."""
        return os.pread(self.fd, os.fstat(self.fd).st_size, 0)

    def close(self) -> None:
        """Overwrite and give back the memory."""
        os.pwrite(self.fd, bytes(os.fstat(self.fd).st_size), 0)
        os.close(self.fd)


class Talk:
    """The steps of one operation, in a `with` block: together they take `seconds` at most.

    Afterwards neither an object nor a session of ours is in the TPM. Every method raises
    LockedError.
    """

    def __init__(self, tcti: str, seconds: float) -> None:
        self._tcti, self._seconds = tcti, seconds
        self._until = time.monotonic() + seconds
        self.took_too_long = False
        self._memories: list[Memory] = []
        self._sessions: list[Memory] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for session in self._sessions:
                self._tidy(str(session))
        finally:
            for memory in self._memories:
                memory.close()

    def memory(self, contents: bytes = b"") -> Memory:
        """Return a file for a tool, which is there until the end of the operation."""
        self._memories.append(Memory(contents))
        return self._memories[-1]

    def session(self, *words: object) -> Memory:
        """Start a session; return its context."""
        context = self.memory()
        self.run("startauthsession", "-S", context, *words)
        self._sessions.append(context)
        return context

    def run(self, tool: str, *words: object) -> str:
        """Run a tool; return what it prints."""
        try:
            output, errors, status = self._call(tool, "-T", self._tcti, *map(str, words))
        finally:
            if tool in _FILLS and not self._tcti.endswith(_MANAGED):
                self._tidy("-t")
        if status:
            raise _refusal(tool, errors)
        return output

    def takes_files_with_sessions(self) -> bool:
        """Whether `session:CONTEXT+file:FILE` names a password: as of tpm2-tools 5.5."""
        output, _, _ = self._call("unseal", "--version")
        found = re.search(r'version="(\d+)\.(\d+)', output)
        return found is not None and (int(found[1]), int(found[2])) >= (5, 5)

    def _tidy(self, what: str) -> None:
        """Flush from the TPM; if that fails, whatever failed before is told."""
        try:
            self._call("flushcontext", "-T", self._tcti, what)
        except LockedError:
            return

    def _call(self, *words: str) -> tuple[str, str, int]:
        import subprocess  # not at every boot

        try:
            if (left := self._until - time.monotonic()) <= 0:
                raise self.is_slow()
            done = programs.run([PROGRAM, *words], left, [each.fd for each in self._memories])
        except subprocess.TimeoutExpired:
            raise self.is_slow() from None
        except FileNotFoundError:
            raise LockedError(f"there is no program {PROGRAM}", f"install {PACKAGE}") from None
        except OSError as error:
            raise LockedError(f"cannot run {PROGRAM}: {error.strerror}") from error
        return done.stdout, done.stderr, done.returncode

    def is_slow(self) -> LockedError:
        """Return the error for a TPM that took too long."""
        self.took_too_long = True
        return LockedError(f"the TPM has not answered within {self._seconds:g} s")


def _refusal(tool: str, errors: str) -> LockedError:
    codes = re.findall(r"\(0x([0-9A-Fa-f]+)\)", errors)
    code = int(codes[-1], 16) if codes else 0
    if not code or code >> 16 not in _TPM_LAYERS:
        said = re.search(r"ERROR: *(.*)", errors)
        return LockedError(f"the TPM cannot be used: {PROGRAM} {tool}: {said[1] if said else '?'}")
    number = code & (_FORMAT_ONE_MASK if code & _FORMAT_ONE else _VERSION_ONE_MASK)
    unknown = f"the TPM refuses {tool} with error 0x{code:03x}"
    return TpmRefusedError(_MEANING.get(number, unknown), number)
