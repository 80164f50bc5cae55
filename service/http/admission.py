"""What happens to every request before its handler: the Host guard, then CORS."""

from dataclasses import dataclass

from quart import Response
from quart import request as current_request
from werkzeug.exceptions import MethodNotAllowed

from service.http import guard
from service.http.cors import Origins, is_same_origin
from service.http.replies import BARE_TEXT, no_content, reply


@dataclass(frozen=True, slots=True)
class Admission:
    """The rules for who may ask.

    Attributes:
        is_guarded: the listener is a loopback address, so ``Host`` must name this machine.
        machine_name: by which it may be named.
        with_head: routes that answer HEAD as well as GET.
    """

    origins: Origins
    is_guarded: bool
    machine_name: str
    with_head: frozenset[str]

    def judge(self) -> Response | None:
        """Answer a request that must not or need not reach its handler.

        (1) A hostile Host: 403. (2) A hostile Origin: 403. (3) A preflight: 204. (4) OPTIONS from no page at all
        to a name of this machine: 204. (5) HEAD where only GET is known: 405.
        """
        host, method = current_request.headers.get("Host", ""), current_request.method
        if self.is_guarded and not guard.may_name(host, self.machine_name):  # (1)
            return _forbidden()
        origin = self._foreign_origin(host)
        if origin and not self.origins.allow(origin):  # (2)
            return _forbidden()
        if origin and method == "OPTIONS":  # (3)
            return no_content(self.origins.preflight_headers(origin))
        if method == "OPTIONS" and self.is_guarded and self._is_name(host):  # (4)
            return no_content()
        if method == "HEAD" and current_request.endpoint not in self.with_head and current_request.url_rule:  # (5)
            raise MethodNotAllowed(sorted((current_request.url_rule.methods or set()) - {"HEAD"}))
        return None

    def headers(self) -> dict[str, str]:
        """The CORS headers of the answer to the current request."""
        origin = self._foreign_origin(current_request.headers.get("Host", ""))
        return self.origins.headers(origin) if origin and self.origins.allow(origin) else {}

    def _foreign_origin(self, host: str) -> str:
        """The page that asks, unless it is of this server.

        Where other machines may ask, ``Host`` may be any name, also one that a stranger has pointed at us: then his
        page and this server have one origin.
        """
        origin = str(current_request.headers.get("Origin", ""))
        is_ours = not origin or (is_same_origin(origin, host) and guard.may_name(host, self.machine_name))
        return "" if is_ours else origin

    def _is_name(self, authority: str) -> bool:
        host = guard.host_of(authority)
        return host is not None and guard.is_allowed_name(host, self.machine_name)


def _forbidden() -> Response:
    return reply(b"", 403, BARE_TEXT)
