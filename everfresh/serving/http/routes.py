"""Which path is answered by what. Paths match exactly: no prefix, no case folding, no decoding of slashes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from everfresh.serving.access.roles import Needs
from everfresh.serving.http.codec import Codec
from everfresh.serving.http.messages import Request, Response
from everfresh.serving.refusals import MethodNotAllowed, NotFound

Handler = Callable[[Request, Mapping[str, str]], Response]


@dataclass(frozen=True)
class Route:
    """One path and method, and what answers it.

    Attributes:
        needs: what whoever asks must be allowed to do.
        answer: a handler, which gets the parts of the path that the pattern names; or, where a model answers, how
            the question is read and the answer written. Such a path may name `{name}` and `{version}`; where it
            does not, headers do.
        blocks: whether the handler waits for a disk or computes for long, and so is run in a thread.
    """

    method: str
    pattern: str
    needs: Needs
    answer: Handler | Codec
    blocks: bool = False


@dataclass(frozen=True)
class Match:
    """The route of a request and the parts of its path that the pattern names."""

    route: Route
    names: Mapping[str, str]


class Router:
    """Finds the route of a request. A pattern is a path; `{name}` stands for one part of it."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._fixed: dict[str, dict[str, Route]] = {}
        self._named: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        for route in routes:
            self._methods(route.pattern)[route.method] = route

    def find(self, method: str, path: str) -> Match:
        """The route for a method and a path.

        Raises:
            NotFound: there is no such path.
            MethodNotAllowed: the path is not for this method.
        """
        methods, names = self._fixed.get(path), {}
        if methods is None:
            for expression, candidates in self._named:
                if (found := expression.fullmatch(path)) is not None:
                    methods, names = candidates, found.groupdict()
                    break
            else:
                raise NotFound(path)
        route = methods.get(method)
        if route is None:
            raise MethodNotAllowed(method, sorted({*methods, "HEAD"} if "GET" in methods else methods))
        return Match(route, names)

    def _methods(self, pattern: str) -> dict[str, Route]:
        if "{" not in pattern:
            return self._fixed.setdefault(pattern, {})
        expression = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[A-Za-z0-9_.-]{1,64})", pattern))
        for known, methods in self._named:
            if known.pattern == expression.pattern:
                return methods
        self._named.append((expression, {}))
        return self._named[-1][1]
