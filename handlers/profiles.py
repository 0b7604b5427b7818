"""Profiles: one's own, and what others see."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web
from msgspec import UNSET

from server.bodies import profiles as bodies
from server.errors import Fault, NotFound, Unprocessable
from server.http.answer import raw
from server.http.guard import user_id, viewer
from server.http.parse import decode, path_id, query, read_body, require_json
from server.http.reading import base
from server.keys import DATABASE
from server.rules import accounts
from server.rules.profiles import clean_bio, clean_name, time_zones
from server.schemas.profiles import ProfilePatch, UsersQuery
from sql import profiles
from sql.profiles import ProfileEdit

PATCH = msgspec.json.Decoder(ProfilePatch)


async def get_profile(request: web.Request) -> web.StreamResponse:
    """GET /profile"""
    async with request.app[DATABASE].connection() as conn:
        return raw((await profiles.get(conn, user_id(request))).encode())


async def update_profile(request: web.Request) -> web.StreamResponse:
    """PATCH /profile"""
    require_json(request)
    edit = await _edit(decode(PATCH, await read_body(request)))
    async with request.app[DATABASE].transaction() as conn:
        await profiles.update(conn, user_id(request), edit)
        profile = await profiles.get(conn, user_id(request))
    return raw(profile.encode())


async def get_user(request: web.Request) -> web.StreamResponse:
    """GET /users/{id}"""
    who, sees_all = viewer(request)
    async with request.app[DATABASE].connection() as conn:
        user = await profiles.get_public(conn, path_id(request), who, sees_all=sees_all)
    if user is None:
        raise NotFound("There is no such user.")
    return raw(user.encode(), headers={} if who is None else {"Cache-Control": "private, no-store"})


async def search_users(request: web.Request) -> web.StreamResponse:
    """GET /users"""
    wanted = query(request, UsersQuery)
    return raw(await bodies.search(request.app[DATABASE], wanted, base(request)))


async def _edit(patch: ProfilePatch) -> ProfileEdit:
    faults = []
    if patch.username is not UNSET and (fault := accounts.username_fault(patch.username)) is not None:
        faults.append(Fault("/username", fault))
    # The names are read from files, once.
    if patch.time_zone is not UNSET and patch.time_zone not in await asyncio.to_thread(time_zones):
        faults.append(Fault("/time_zone", "Is not a time zone of IANA, such as Europe/London."))
    if faults:
        raise Unprocessable("Some values do not fit.", faults=faults)
    return ProfileEdit(
        name=clean_name(patch.name) if patch.name is not UNSET else None,
        bio=clean_bio(patch.bio) if patch.bio is not UNSET else None,
        locale=patch.locale if patch.locale is not UNSET else None,
        time_zone=patch.time_zone if patch.time_zone is not UNSET else None,
        is_public=patch.is_public if patch.is_public is not UNSET else None,
        username=accounts.clean_username(patch.username) if patch.username is not UNSET else None,
        username_key=accounts.username_key(patch.username) if patch.username is not UNSET else None,
    )
