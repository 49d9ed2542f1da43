"""The part of the schema about tokens that callers bring.

Responsible for: their keys, as frozen data; the rules are those of ``schema``, where readers import them from.
Does not know: how a token is verified (``router.routing.jwt``).
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from router.config.terms import Duration, File, HeaderName

JwtAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"
]


class Jwt(Struct, frozen=True, kw_only=True):
    """JSON Web Tokens whose claims are units and attributes."""

    keys_file: Annotated[
        File,
        Meta(
            description="JWK set (RFC 7517) that signatures are verified with, public keys or secrets; read again when "
            "it changes; relative to the config file"
        ),
    ]
    algorithms: Annotated[
        tuple[JwtAlgorithm, ...],
        Meta(min_length=1, description="algorithms that are accepted; each key is used with its own kind only"),
    ]
    issuer: Annotated[
        tuple[str, ...], Meta(description="what `iss` may be; any when empty; with more than one, put them in a list")
    ] = ()
    audience: Annotated[
        tuple[str, ...],
        Meta(description="one of them has to be in `aud`; when empty, tokens that have an `aud` are for somebody else"),
    ] = ()
    header: Annotated[HeaderName, Meta(description="field with the token, after `Bearer` or alone")] = "authorization"
    leeway: Annotated[Duration, Meta(le=300, description="how far the clocks of issuer and router may be apart")] = 0.0
