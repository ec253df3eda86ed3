"""Addresses: paths with a scheme (``s3://bucket/run/train.log``), how they are shown, and what is said when one fails.

Passwords and signed queries are part of an address and must never be: every text that is shown goes through here.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from vaelab.errors import LogError
from vaelab.patterns import pattern

INSTALL = "pip install 'vaelab[remote]'"

_SCHEME = pattern(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_PARTS = pattern(r"([^:]+://)(?:([^/]*)@)?(.*)", re.DOTALL)
_LOGIN_IN_TEXT = pattern(r"(?<=://)[^/\s@]*@")
_QUERY_IN_TEXT = pattern(r"\?[^\s'\"<>)]*=[^\s'\"<>)]*")
_WITH_LOGIN_NAME = ("sftp", "ssh")  # who logs in there is part of the place and no secret

_TIME_OUTS = {
    "TimeoutError",
    "FSTimeoutError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "Timeout",
    "TimeoutException",
}
_UNREACHABLE = {
    "ConnectionError", "gaierror", "EndpointConnectionError", "ClientConnectionError", "ConnectError", "NetworkError",
    "ConnectionLost", "DisconnectError", "HTTPClientError", "TransportError",
}  # fmt: skip
_NO_CREDENTIALS = {
    "NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError", "UnauthorizedSSOTokenError",
    "SSOTokenLoadError", "DefaultCredentialsError", "LocalTokenNotFoundError",
}  # fmt: skip
_DENIED = {"PermissionError", "PermissionDenied", "GatedRepoError", "RefreshError", "AuthenticationError"}
_LOG_IN = {
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (FSSPEC_S3_ANON=true reads a public bucket)",
    "gs": "run gcloud auth application-default login",
    "hf": "run hf auth login, or set HF_TOKEN",
    "sftp": "check that ssh logs in there without a question (a key in ~/.ssh or in the agent)",
    "mlflow": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    "wandb": "run wandb login, or set WANDB_API_KEY",
}


def is_address(path: str | Path) -> bool:
    """Whether ``path`` has a scheme, so that it names something on another machine (or in memory)."""
    return _SCHEME.match(str(path)) is not None


def scheme_of(address: str) -> str:
    """The scheme in small letters, with the spellings of one thing made one: ``s3``, ``gs``, ``sftp``, ``https`` ..."""
    match = _SCHEME.match(address)
    scheme = match[1].lower() if match else ""
    return {"s3a": "s3", "gcs": "gs", "ssh": "sftp"}.get(scheme, scheme)


def shown(address: str) -> str:
    """The address without password, token, signed query and fragment: what may be printed and kept."""
    match = _PARTS.fullmatch(address)
    if match is None or not is_address(address):
        return address
    scheme, login, rest = match[1], match[2], match[3]
    if login is not None and scheme_of(address) in _WITH_LOGIN_NAME:
        rest = f"{login.partition(':')[0]}@{rest}"
    if scheme_of(address) in ("http", "https"):
        rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    elif query := _QUERY_IN_TEXT.search(rest):  # a question mark alone is part of a pattern or of a name
        rest = rest[: query.start()]
    return scheme + rest


def without_secrets(text: str, address: str) -> str:
    """``text`` without what ``shown`` leaves out of ``address``, and without any other login or query."""
    match = _PARTS.fullmatch(address)
    login = match[2] if match else None
    secrets = [login or "", (login or "").partition(":")[2]]
    secrets += re.findall(r"=([^&#]+)", address.partition("?")[2])
    for secret in sorted({s for part in secrets for s in (part, unquote(part)) if len(s) > 3}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return _QUERY_IN_TEXT.sub("", _LOGIN_IN_TEXT.sub("", text))


def failure(error: BaseException, address: str) -> LogError:
    """What went wrong, in one sentence with the next step, and without a secret."""
    if isinstance(error, LogError):
        return error
    where, scheme = shown(address), scheme_of(address).partition("+")[0]
    chain = list(_chain(error))
    names = {kind.__name__ for link in chain for kind in type(link).__mro__}
    status = next((code for link in chain if (code := _status(link)) is not None), None)
    log_in = _LOG_IN.get(scheme, "check the name and the password in the address")
    if isinstance(error, ImportError):
        return LogError(f"{where} cannot be read without the packages for it: {INSTALL}.")
    if any(isinstance(link, OSError) and link.errno == errno.ENOSPC for link in chain):
        return LogError(f"the disk is full, so {where} cannot be copied here: set TMPDIR to a folder with more room.")
    if "HostKeyNotVerifiable" in names:
        return LogError(f"{where} was not read: its host key is not known. Log in once with ssh, so that it is.")
    if names & _NO_CREDENTIALS:
        return LogError(f"{where} was not read: no credentials were found. Please {log_in}.")
    if status in (401, 403) or names & _DENIED:
        return LogError(f"{where} was not read: access is denied. Please {log_in}, and check what it may read.")
    refused = "NewConnectionError" in names  # urllib3 calls it a time-out too
    if (names & _TIME_OUTS and not refused) or status in (408, 504):
        return LogError(f"{where} was not read: no answer came in time. Is the server reachable from here? Try again.")
    if refused or names & _UNREACHABLE or any("Connect call failed" in str(link) for link in chain):
        return LogError(
            f"{where} was not read: the server cannot be reached. Check the name, the port and the network."
        )
    if status == 404 or "FileNotFoundError" in names:
        return LogError(f"{where} does not exist: check the path, and the bucket, host or repository.")
    said = without_secrets(" ".join(str(error).split()), address)[:200]
    return LogError(f"{where} cannot be read ({type(error).__name__}{f': {said}' if said else ''}).")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    """The HTTP status, wherever the client that raised ``error`` keeps it."""
    if getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST":  # MLflow
        return 404
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):  # botocore
        answer = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = getattr(error, "status", None) or getattr(answer, "status_code", answer) or getattr(error, "code", None)
    return code if isinstance(code, int) else None
