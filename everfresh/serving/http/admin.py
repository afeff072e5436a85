"""Changing what is served, over HTTP: an API of our own, and the repository extension of V2.

GET    /admin/models                        what should serve
GET    /admin/models/NAME                   the same of one model
PUT    /admin/models/NAME                   serve these versions, with this traffic and this shadow
DELETE /admin/models/NAME                   serve it no longer
POST   /v2/repository/index                 every version that lies on the server
POST   /v2/repository/models/NAME/load      serve the newest version, or {"parameters": {"version": 3}}
POST   /v2/repository/models/NAME/unload    serve it no longer
"""

from __future__ import annotations

from collections.abc import Mapping

from everfresh.serving.http.messages import Request, Response, json_response
from everfresh.serving.http.routes import Route
from everfresh.serving.refusals import Malformed, UnknownModel
from everfresh.serving.versions.desired import DesiredModel
from everfresh.serving.versions.models import ModelTable
from everfresh.serving.versions.repository import Repository, StoredVersion

Names = Mapping[str, str]


def routes(repository: Repository, models: ModelTable) -> list[Route]:
    """The paths that change what is served, and those that tell what could be."""

    def list_models(request: Request, names: Names) -> Response:
        desired = repository.desired()
        content = {name: model.to_json() for name, model in desired.models.items()}
        return json_response({"generation": desired.generation, "models": content})

    def show(request: Request, names: Names) -> Response:
        return _shown(repository, names["name"])

    def put(request: Request, names: Names) -> Response:
        try:
            desired = DesiredModel.from_json(request.json())
        except ValueError as error:
            raise Malformed(f"The model that is asked for cannot be: {error}.") from None
        repository.bring(names["name"], desired)
        return _shown(repository, names["name"])

    def delete(request: Request, names: Names) -> Response:
        repository.take_out(names["name"])
        return Response(204)

    def index(request: Request, names: Names) -> Response:
        only_ready = bool(request.body.strip()) and request.json().get("ready") is True
        loaded = models.loaded()
        entries = [_entry(stored, loaded) for stored in repository.stored()]
        return json_response([entry for entry in entries if not only_ready or entry["state"] == "READY"])

    def load(request: Request, names: Names) -> Response:
        name = names["name"]
        version = _wanted_version(request)
        repository.bring(name, DesiredModel(repository.newest(name) if version is None else version))
        return json_response({})

    def unload(request: Request, names: Names) -> Response:
        repository.take_out(names["name"])
        return json_response({})

    one, stored = "/admin/models/{name}", "/v2/repository/models/{name}"
    return [
        Route("GET", "/admin/models", "admin", list_models, blocks=True),
        Route("GET", one, "admin", show, blocks=True),
        Route("PUT", one, "admin", put, blocks=True),
        Route("DELETE", one, "admin", delete, blocks=True),
        Route("POST", "/v2/repository/index", "read", index, blocks=True),
        Route("POST", f"{stored}/load", "admin", load, blocks=True),
        Route("POST", f"{stored}/unload", "admin", unload, blocks=True),
    ]


def _shown(repository: Repository, name: str) -> Response:
    models = repository.desired().models
    if name not in models:
        raise UnknownModel(name, sorted(models))
    return json_response({"name": name, **models[name].to_json()})


def _entry(stored: StoredVersion, loaded: Mapping[str, list[int]]) -> dict[str, str]:
    is_ready = stored.version in loaded.get(stored.name, ())
    reason = "" if is_ready else "is not loaded yet" if stored.is_wanted else "is not asked for"
    return {
        "name": stored.name,
        "version": str(stored.version),
        "state": "READY" if is_ready else "UNAVAILABLE",
        "reason": reason,
    }


def _wanted_version(request: Request) -> int | None:
    if not request.body.strip():
        return None
    parameters = request.json().get("parameters") or {}
    version = parameters.get("version") if isinstance(parameters, dict) else parameters
    if version is None:
        return None
    if isinstance(version, str) and version.isascii() and version.isdigit():
        version = int(version)
    if type(version) is not int or version < 1:
        raise Malformed("parameters.version is not the number of a version.", field="parameters")
    return version
