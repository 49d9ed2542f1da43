"""The tokens of callers, in one worker.

Responsible for: its keys, reading them again, counting what tokens came to.
Does not know: how one is verified (``router.routing.jwt``), what claims are for.

Rules: without usable keys no token counts. Keys that cannot be read again stay what they were, while the rest of the
configuration of tokens does: a revision, a kill above all, must not wait for a file. PyJWT is loaded when tokens are
configured.
"""

from hashlib import sha256
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router import counters
from router.routing.request import Request

if TYPE_CHECKING:
    from router.config.schema import Jwt
    from router.routing.jwt import Verifier

_WORD: Final = {result: counters.JWT + index for index, result in enumerate(counters.JWT_RESULTS)}

logger = getLogger(__name__)


class Identity:
    """Verifies the tokens of one worker's callers."""

    __slots__ = ("_config", "_digest", "_field", "_verifier", "_words")

    def __init__(self, words: "memoryview[int]") -> None:
        # Per process
        self._words = words
        self._config: Jwt | None = None
        self._digest = b""
        self._field = b""
        self._verifier: Verifier | None = None

    def follow(self, config: "Jwt | None") -> None:
        """Read the keys again; None is that no tokens are configured any more."""
        if config is None:
            self._config = self._verifier = None
            return
        from router.config import jwks  # noqa: PLC0415 - an extra, and heavy
        from router.routing.jwt import Verifier  # noqa: PLC0415 - likewise

        same = config == self._config
        try:
            content = Path(config.keys_file).read_bytes()
            digest = sha256(content).digest()
            if same and digest == self._digest and self._verifier is not None:
                return  # with what is known of tokens
            keys = jwks.parse_jwks(content, config.algorithms)
        except (OSError, ValueError) as error:
            what = "those of before count" if same else "no token counts"
            logger.error("the keys of callers' tokens cannot be read; %s: %s", what, error)  # noqa: TRY400 - the text says all
            if not same:
                self._config = self._verifier = None
            return
        self._config, self._digest, self._field = config, digest, config.header.lower().encode()
        self._verifier = Verifier(
            keys, config.algorithms, issuer=config.issuer, audience=config.audience, leeway=config.leeway
        )

    def claims(self, request: Request) -> bytes | None:
        """Return the claims of a request's token as JSON; None when there is none that counts."""
        if self._verifier is None:
            return None
        token = self._verifier.verify(request.fields.get(self._field), request.now)
        self._words[_WORD[token.result]] += 1
        return token.claims
