"""What a program asks of a local AWS, in the words of its policies: who may do what to what."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server"}
_SECONDS = 60


@dataclass(frozen=True, order=True)
class Call:
    """An action on a resource; ``prefix`` is what a listing asks for."""

    action: str
    resource: str
    prefix: str = ""


def allowed(call: Call, statements: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a role's statements allow a call; the conditions known here are those on a listing's prefix."""
    return any(
        call.action in statement["Action"]
        and any(fnmatchcase(call.resource, pattern) for pattern in statement["Resource"])
        and _meets(call, statement.get("Condition", {}))
        for statement in statements
    )


def _meets(call: Call, condition: Mapping[str, Any]) -> bool:
    assert set(condition) <= {"StringLike"}, condition
    wanted = condition.get("StringLike", {})
    assert set(wanted) <= {"s3:prefix"}, condition
    return not wanted or any(fnmatchcase(call.prefix, pattern) for pattern in wanted["s3:prefix"])


def call_of(method: str, target: str, headers: Mapping[str, str], body: bytes, *, region: str, account: str) -> Call:
    """The call that a request to SQS, DynamoDB or S3 is."""
    named = {name.lower(): value for name, value in headers.items()}
    if "x-amz-target" in named:
        service, _, operation = named["x-amz-target"].partition(".")
        asked = json.loads(body)
        if service == "AmazonSQS":
            queue = asked["QueueUrl"].rpartition("/")[2]
            return Call(
                f"sqs:{operation.removesuffix('Batch')}", f"arn:aws:sqs:{region_of(named, region)}:{account}:{queue}"
            )
        table = f"arn:aws:dynamodb:{region_of(named, region)}:{account}:table/{asked['TableName']}"
        return Call(f"dynamodb:{operation}", f"{table}/index/{asked['IndexName']}" if "IndexName" in asked else table)
    return _call_of_s3(method, target)


def region_of(headers: Mapping[str, str], otherwise: str) -> str:
    """The region that a request is signed for: ``Credential=key/date/region/service/aws4_request``."""
    _, found, scope = headers.get("authorization", "").partition("Credential=")
    return scope.split("/")[2] if found else otherwise


def _call_of_s3(method: str, target: str) -> Call:
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    bucket, _, key = unquote(parts.path).strip("/").partition("/")
    arn = f"arn:aws:s3:::{bucket}"
    if not key and method == "GET":
        return Call("s3:ListBucket", arn, query.get("prefix", ""))
    actions = {
        "GET": "s3:GetObjectVersion" if "versionId" in query else "s3:GetObject",
        "HEAD": "s3:GetObjectVersion" if "versionId" in query else "s3:GetObject",
        "PUT": "s3:PutObject",
        "POST": "s3:PutObject",  # of multipart uploads
        "DELETE": "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject",
    }
    return Call(actions[method], f"{arn}/{key}")


@contextmanager
def overheard(endpoint: str, calls: set[Call], *, region: str, account: str) -> Iterator[str]:
    """An address that passes everything on to a local AWS, and adds each request to ``calls``."""
    behind = urlsplit(endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def _pass_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            calls.add(call_of(self.command, self.path, self.headers, body, region=region, account=account))
            connection = HTTPConnection(behind.hostname, behind.port, timeout=_SECONDS)
            connection.request(self.command, self.path, body=body, headers=dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
