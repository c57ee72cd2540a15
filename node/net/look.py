"""A look at who is at an address, with the ssl module, before anything is said to it.

gRPC reports every fault of a connection as "unavailable", and never shows a server's certificate.
TLS 1.3 shows it before the client has to show its own, and proves that the server holds its key;
so who is there can be known, and named in an error, without telling it anything.
"""

import asyncio
import os
import ssl

from mesh.addresses import AddressRefused, split_address
from node.net.credentials import TlsMaterial
from node.net.failures import DialFailed, unreachable
from node.net.patience import in_time


async def look(address: str, timeout_s: float) -> bytes:
    """The certificate (DER) of the server at `address`, its key proven, its issuer NOT checked.

    Raises DialFailed: unreachable.
    """
    context = _context()
    try:
        return await in_time(_shown(address, context), timeout_s)
    except AddressRefused as refused:
        raise DialFailed("unreachable", str(refused)) from None
    except ssl.SSLError as error:
        text = f"what listens there speaks no TLS 1.3 ({error.reason or error})"
        raise unreachable(address, text) from None
    except TimeoutError:
        raise unreachable(address, f"no answer within {timeout_s:g} s") from None
    except OSError as error:
        raise unreachable(address, error.strerror or str(error)) from None


async def refusal(address: str, material: TlsMaterial, timeout_s: float) -> str | None:
    """What the server at `address` has against our certificate in TLS; None if nothing was heard.

    To be asked only after `look` has said that the right one is there.
    """
    context = _context()
    _show(context, material)
    try:
        return await in_time(_answer(address, context), timeout_s)
    except OSError:  # it is gone meanwhile, or silent
        return None


async def _shown(address: str, context: ssl.SSLContext) -> bytes:
    _, writer = await _connected(address, context)
    try:
        certificate: bytes | None = writer.get_extra_info("ssl_object").getpeercert(True)
    finally:
        writer.transport.abort()
    return certificate or b""


async def _answer(address: str, context: ssl.SSLContext) -> str | None:
    # A gRPC server speaks first; one that refuses a certificate hangs up instead, with a TLS alert
    # or without one.
    reader, writer = await _connected(address, context)
    try:
        return None if await reader.read(1) else "it hung up when it saw it"
    except OSError as error:  # an alert too: ssl.SSLError is one of them
        return getattr(error, "reason", None) or error.strerror or str(error)
    finally:
        writer.transport.abort()


async def _connected(
    address: str, context: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = split_address(address)
    return await asyncio.open_connection(host, port, ssl=context, server_hostname="")


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # who is there is what is being asked
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def _show(context: ssl.SSLContext, material: TlsMaterial) -> None:
    # The ssl module takes a key from a file only; this one is in memory and has no name.
    file = os.memfd_create("tls")
    try:
        os.write(file, material.certificate_pem + b"\n" + material.key_pem)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
