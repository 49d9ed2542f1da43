"""The scalar types of the configuration: what one value may be, by the name of its kind.

Responsible for: bounds and patterns of single values, and which parser reads them (``extra``).
Does not know: keys.
"""

from typing import Annotated, Any

from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", extra={"scalar": "name"})]
Duration = Annotated[float, Meta(extra={"scalar": "duration"})]
Slot = Annotated[float, Meta(ge=1, le=31_536_000, extra={"scalar": "duration"})]
Timeout = Annotated[float, Meta(ge=0.001, extra={"scalar": "duration"})]
Size = Annotated[int, Meta(extra={"scalar": "size"})]
Share = Annotated[float, Meta(ge=0, le=1, extra={"scalar": "share"})]
Change = Annotated[float, Meta(ge=-1000, le=1000, extra={"scalar": "change"})]
Time = Annotated[float, Meta(extra={"scalar": "time"})]
TimeZone = Annotated[str, Meta(min_length=1, max_length=64)]
Rate = Annotated[float, Meta(extra={"scalar": "rate"})]
Source = Annotated[str, Meta(extra={"scalar": "source"})]
Pointer = Annotated[str, Meta(pattern=r"^(/([^~/]|~[01])*)*$", extra={"scalar": "pointer"})]
HeaderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$", extra={"scalar": "header"})]
Path = Annotated[str, Meta(pattern=r"^/[^?#\s]*$", extra={"scalar": "path"})]
Url = Annotated[str, Meta(extra={"scalar": "url"})]
Address = Annotated[str, Meta(extra={"scalar": "listen"})]
Network = Annotated[str, Meta(extra={"scalar": "network"})]
Host = Annotated[str, Meta(extra={"scalar": "host"})]
ServerName = Annotated[str, Meta(extra={"scalar": "server_name"})]
Method = Annotated[str, Meta(pattern=r"^[A-Z0-9!#$%&'*+.^_`|~-]{1,32}$", extra={"scalar": "method"})]
File = Annotated[str, Meta(min_length=1, max_length=4096, extra={"scalar": "file"})]
Glob = Annotated[str, Meta(min_length=1, max_length=4096, extra={"scalar": "glob"})]
Lock = Annotated[str, Meta(min_length=1, max_length=1024)]
Salt = Annotated[str, Meta(min_length=1, max_length=256)]
Burst = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Importance = Annotated[float, Meta(ge=0, le=1e9)]
Workers = Annotated[int, Meta(ge=1, le=1024)]
Scalar = str | int | float | bool
Json = Annotated[Any, Meta(extra={"scalar": "json"})]
