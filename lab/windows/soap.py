# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages of WS-Management as Windows speaks it: reads requests, words answers and faults."""

from __future__ import annotations

import base64
import re
import uuid
from dataclasses import dataclass, field
from typing import Any
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

import xmltodict

_SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
_TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
ACTIONS = {
    f"{_TRANSFER}/Create": "Create",
    f"{_TRANSFER}/Delete": "Delete",
    f"{_SHELL}/Command": "Command",
    f"{_SHELL}/Send": "Send",
    f"{_SHELL}/Receive": "Receive",
    f"{_SHELL}/Signal": "Signal",
}
OPERATION_TIMEOUT = 2150858793
BUSY = 170
SHELL_NOT_FOUND = 2150858843
ACTION_NOT_SUPPORTED = 2150858817
ENVELOPE_TOO_LARGE = 2150858806
QUOTA = 2150859174
"""0x803381A6: too many operations in one shell."""

_NAMESPACES = (
    'xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/transfer" '
    'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" '
    f'xmlns:rsp="{_SHELL}" '
    'xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"'
)


@dataclass(slots=True)
class Request:
    """What a client asks."""

    action: str
    message_id: str
    shell_id: str = ""
    timeout: float = 60.0
    """Seconds the client lets an operation take."""
    console_stdin: bool = True
    """For commands: no input will be sent, the command may begin at once."""
    body: dict[str, Any] = field(default_factory=dict)


class Fault(Exception):  # noqa: N818 - the protocol's own word
    """An error in WS-Management's words, answered with HTTP 500."""

    def __init__(self, code: int, message: str, subcode: str = "w:InternalError") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.subcode = subcode


def _plain(value: Any) -> Any:
    """Take prefixes and namespace declarations off the names: whoever writes the message chooses them."""
    if isinstance(value, dict):
        return {
            (name if name[:1] == "@" else name.rpartition(":")[2]): _plain(inner)
            for name, inner in value.items()
            if not name.startswith("@xmlns")
        }
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _value(node: Any) -> str:
    if isinstance(node, dict):
        return str(node.get("#text") or "")
    return str(node or "")


def _seconds(duration: str) -> float:
    match = re.fullmatch(r"P(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)", duration)
    if match is None:
        return 60.0
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def read(message: bytes, limit: int) -> Request:
    """Read a request of at most ``limit`` bytes.

    Raises:
        Fault: It is too large, or not a SOAP message that a shell understands.
    """
    if len(message) > limit:
        text = f"The total size of the request, {len(message)} bytes, exceeds the maximum of {limit}."
        raise Fault(ENVELOPE_TOO_LARGE, text, "w:EncodingLimit")
    try:
        envelope = _plain(xmltodict.parse(message))["Envelope"]
        header = envelope["Header"]
        uri = _value(header["Action"])
        selectors = (header.get("SelectorSet") or {}).get("Selector")
    except (ExpatError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Fault(2150858752, f"The SOAP message cannot be read: {error}", "w:SchemaValidationError") from None
    shell_id = ""
    for selector in selectors if isinstance(selectors, list) else [selectors]:
        if isinstance(selector, dict) and selector.get("@Name") == "ShellId":
            shell_id = _value(selector)
    action = ACTIONS.get(uri)
    if action is None:
        raise Fault(
            ACTION_NOT_SUPPORTED,
            f"The WS-Management service cannot process the request. The action {uri} is not supported by the service.",
            "a:ActionNotSupported",
        )
    body = envelope.get("Body")
    options = (header.get("OptionSet") or {}).get("Option")
    console = True
    for option in options if isinstance(options, list) else [options]:
        if isinstance(option, dict) and option.get("@Name") == "WINRS_CONSOLEMODE_STDIN":
            console = _value(option).upper() == "TRUE"
    return Request(
        action,
        _value(header.get("MessageID")),
        shell_id,
        _seconds(_value(header.get("OperationTimeout"))),
        console,
        body if isinstance(body, dict) else {},
    )


def command_line(body: dict[str, Any]) -> str:
    """Command and arguments of a Command request, as one line."""
    node = body.get("CommandLine") or {}
    arguments = node.get("Arguments")
    parts = [_value(node.get("Command"))]
    parts += [_value(part) for part in (arguments if isinstance(arguments, list) else [arguments]) if part is not None]
    return " ".join(part for part in parts if part)


def sent(body: dict[str, Any]) -> tuple[str, bytes, bool]:
    """Command id, bytes and end mark of a Send request."""
    stream = (body.get("Send") or {}).get("Stream") or {}
    streams = stream if isinstance(stream, list) else [stream]
    data = b"".join(base64.b64decode(_value(part)) for part in streams)
    end = any(str(part.get("@End", "false")).lower() == "true" for part in streams)
    return str(streams[0].get("@CommandId", "")), data, end


def received(body: dict[str, Any]) -> str:
    """Command id of a Receive request."""
    return str(((body.get("Receive") or {}).get("DesiredStream") or {}).get("@CommandId", ""))


def signalled(body: dict[str, Any]) -> str:
    """Command id of a Signal request."""
    return str((body.get("Signal") or {}).get("@CommandId", ""))


def answer(request: Request, body: str, action: str | None = None) -> bytes:
    """Word an answer.

    Args:
        request: What it answers.
        body: Inside of the body, XML.
        action: URI of the answer; made from the request's name when absent.
    """
    uri = action or (
        f"{_TRANSFER}/{request.action}Response"
        if request.action in {"Create", "Delete"}
        else f"{_SHELL}/{request.action}Response"
    )
    return (
        f'<s:Envelope xml:lang="fr-FR" {_NAMESPACES}><s:Header><a:Action>{uri}</a:Action>'
        f"<a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID>"
        "<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To>"
        f"<a:RelatesTo>{escape(request.message_id)}</a:RelatesTo></s:Header>"
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def created(shell_id: str, owner: str, address: str) -> str:
    """Body of an answer to Create."""
    return (
        f"<x:ResourceCreated><a:Address>http://{address}/wsman</a:Address><a:ReferenceParameters>"
        f"<w:ResourceURI>{_SHELL}/cmd</w:ResourceURI><w:SelectorSet>"
        f'<w:Selector Name="ShellId">{shell_id}</w:Selector></w:SelectorSet></a:ReferenceParameters>'
        f"</x:ResourceCreated><rsp:Shell><rsp:ShellId>{shell_id}</rsp:ShellId>"
        f"<rsp:ResourceUri>{_SHELL}/cmd</rsp:ResourceUri><rsp:Owner>{escape(owner)}</rsp:Owner>"
        "<rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>"
    )


def commanded(command_id: str) -> str:
    """Body of an answer to Command."""
    return f"<rsp:CommandResponse><rsp:CommandId>{command_id}</rsp:CommandId></rsp:CommandResponse>"


def output(command_id: str, stdout: bytes, stderr: bytes, exit_code: int) -> str:
    """Body of an answer to Receive for a command that has ended."""
    parts = ["<rsp:ReceiveResponse>"]
    for name, data in (("stdout", stdout), ("stderr", stderr)):
        if data:
            text = base64.b64encode(data).decode("ascii")
            parts.append(f'<rsp:Stream Name="{name}" CommandId="{command_id}">{text}</rsp:Stream>')
        parts.append(f'<rsp:Stream Name="{name}" CommandId="{command_id}" End="true"></rsp:Stream>')
    parts.append(
        f'<rsp:CommandState CommandId="{command_id}" State="{_SHELL}/CommandState/Done">'
        f"<rsp:ExitCode>{exit_code}</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse>"
    )
    return "".join(parts)


def fault(error: Fault, message_id: str, machine: str) -> bytes:
    """Word a fault as Windows does: quotas as MSFT_WmiError, everything else as WSManFault."""
    message = escape(error.message)
    if error.code == QUOTA:
        detail = (
            '<p1:MSFT_WmiError b:IsCIM_Error="true" xmlns:b="http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd" '
            'xmlns:p1="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError">'
            f"<p1:CIMStatusCode>1</p1:CIMStatusCode><p1:Message>{message}</p1:Message>"
            f"<p1:error_Category>30</p1:error_Category><p1:error_Code>{error.code}</p1:error_Code>"
            "<p1:error_Type>HRESULT</p1:error_Type></p1:MSFT_WmiError>"
        )
    else:
        detail = (
            f'<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="{error.code}" '
            f'Machine="{escape(machine)}"><f:Message>{message}</f:Message></f:WSManFault>'
        )
    return (
        f'<s:Envelope xml:lang="fr-FR" {_NAMESPACES}><s:Header>'
        "<a:Action>http://schemas.dmtf.org/wbem/wsman/1/wsman/fault</a:Action>"
        f"<a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID>"
        "<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To>"
        f"<a:RelatesTo>{escape(message_id)}</a:RelatesTo></s:Header><s:Body><s:Fault>"
        f"<s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>{error.subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="fr-FR">{message}</s:Text></s:Reason>'
        f"<s:Detail>{detail}</s:Detail></s:Fault></s:Body></s:Envelope>"
    ).encode()
