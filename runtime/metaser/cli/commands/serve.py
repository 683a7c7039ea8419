"""`metaser serve`: live labels, clips and profiles for programs, over HTTP and WebSocket."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from metaser.cli.options import BundleOption, MqttOption, Provider, ProviderOption, WebhookOption
from metaser.cli.view.console import print_status
from metaser.serve.settings import Limits, ServeSettings

TOKEN_VARIABLE = "METASER_TOKEN"  # noqa: S105 # the name of a variable
FEWEST_TOKEN_LETTERS = 16

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--profiles",
        metavar="DIR",
        help="The folder of the profiles. Without it, the folder `profiles` next to your own profile.",
    ),
]
HostOption = Annotated[
    str,
    typer.Option(
        "--host", metavar="ADDRESS", help="Where to listen. Beyond this machine, a token and TLS are required."
    ),
]
PortOption = Annotated[int, typer.Option("--port", metavar="N", help="The port for everything; 0 for a free one.")]
WorkersOption = Annotated[
    int, typer.Option("--workers", metavar="N", help="Number of processes on the port; one that dies is replaced.")
]
TokenOption = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="A file with what clients must send. Or set METASER_TOKEN."),
]
CertificateOption = Annotated[
    Path | None, typer.Option("--certificate", metavar="FILE.pem", help="The certificate for TLS, with its chain.")
]
KeyOption = Annotated[Path | None, typer.Option("--key", metavar="FILE.pem", help="The private key for TLS.")]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Serve a network without TLS: others can hear the speech and the token.")
]
AllowHostOption = Annotated[
    list[str] | None,
    typer.Option("--allow-host", metavar="NAME", help="A further name of this server. Can be repeated."),
]
AllowOriginOption = Annotated[
    list[str] | None,
    typer.Option("--allow-origin", metavar="ORIGIN", help="An origin whose pages may use the server. Can be repeated."),
]
StreamsOption = Annotated[
    int | None,
    typer.Option(
        "--streams", metavar="N", help="Live streams per worker. Without it, as many as this machine can compute."
    ),
]
RecordOption = Annotated[
    Path | None,
    typer.Option("--record", metavar="DIR", help="Save the audio and the labels of every stream in this folder."),
]
ConnectionsOption = Annotated[int, typer.Option("--connections", metavar="N", help="Open connections per worker.")]


def serve(  # noqa: PLR0913 # one parameter per option
    *,
    profiles: FolderOption = None,
    host: HostOption = ServeSettings.host,
    port: PortOption = ServeSettings.port,
    workers: WorkersOption = ServeSettings.workers,
    streams: StreamsOption = None,
    connections: ConnectionsOption = Limits.connections,
    token_file: TokenOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    insecure: InsecureOption = False,
    allow_host: AllowHostOption = None,
    allow_origin: AllowOriginOption = None,
    mqtt: MqttOption = None,
    webhook: WebhookOption = None,
    record: RecordOption = None,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
) -> None:
    """Serve live labels to browsers and programs on this machine, or on a network.

    Open the address that is printed in a browser to enrol and to see labels. Programs use the same port: streams
    (WebSocket /v1/stream), clips, profiles and the state of the server, as docs/serve.md describes. Only this machine
    can connect, unless --host is given. Needs the extra `serve`.
    """
    from metaser.runtime import InputError, MissingDependencyError

    try:
        from metaser.serve.run import check_files
        from metaser.serve.run import serve as run
    except ImportError as error:
        raise MissingDependencyError(f"the server needs {error.name}: pip install 'metaser[serve]'") from error
    if streams is not None and streams < 1:
        raise InputError(f"--streams {streams}: give 1 or more")
    if connections < 1:
        raise InputError(f"--connections {connections}: give 1 or more")
    check_files(certificate, key)
    settings = ServeSettings(
        profiles=profiles or _default_folder(),
        host=host,
        port=port,
        bundle=bundle,
        provider=provider.value,
        workers=workers,
        token=_token(token_file),
        certificate=certificate,
        key=key,
        insecure=insecure,
        hosts=tuple(allow_host or ()),
        origins=tuple(allow_origin or ()),
        mqtt=mqtt,
        webhook=webhook,
        record=record,
        limits=Limits(connections=connections, streams=streams),
    )
    run(settings, print_status)


def _default_folder() -> Path:
    from metaser.runtime.system.user_folders import data_folder

    return data_folder() / "profiles"


def _token(file: Path | None) -> str | None:
    """The token from a file or the environment; never from the command line, which others can read."""
    from metaser.runtime import InputError, NotFoundError

    if file is None:
        given, where = os.environ.get(TOKEN_VARIABLE) or None, TOKEN_VARIABLE
    else:
        where = str(file)
        try:
            given = file.read_text(encoding="utf-8").strip()
        except FileNotFoundError as error:
            raise NotFoundError(f"no such file: {file}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{file} is not a file of text: write a token into it") from error
    if given is not None and (len(given) < FEWEST_TOKEN_LETTERS or not given.isascii() or not given.isprintable()):
        raise InputError(
            f"the token in {where} is not {FEWEST_TOKEN_LETTERS} or more letters and digits: make one with "
            "`openssl rand -hex 32`"
        )
    return given
