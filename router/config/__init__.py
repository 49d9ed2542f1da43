"""The configuration: from the bytes of a file to frozen data, or to every mistake in it.

=============  ==========================================================================================
schema         every key as a frozen struct: name, type, default, description; the only part workers import
not_yet        keys and values of later capabilities, which are refused as such
scalars        durations, sizes, shares, sources, URLs, addresses: parse and format
place          where an endpoint is, and how its certificate is verified
logic          which rules in JSONLogic are well formed
evaluators     named parts of rules, and putting them in place
facts          what a rule about a request can ask for, by name
jwks           a file of keys that tokens of callers are verified with
operands       what the operands of flagd's operators must be
mistake        ``Mistake`` (file, line, path, message) and ``ConfigError`` (all of them)
document       bytes → plain tree with a line at each node, bounded in size, depth and expansion
resolve        tree → plain values with units resolved, by the types of ``schema``
references     what one part of a configuration says about another: names, matches, weights, files
folder         which files a folder has, and which make up the configuration of a region and a cluster
paths          paths that people write, by keys and names
shape          which places of two trees are merged, and which hold one value
merge          trees of several files → one tree, each value with its file and line and what it replaced
lock           which changes of a lower file are refused because an upper one has locked the value
preview        the part of the schema about looking at a new version
smoke          the part of the schema about its smoke tests
switch_references  what has to fit together in a blue-green switch and a rolling replacement
rehearsal      the part of the schema about what a release passes before it has traffic
requirement    requirements on the numbers of an offline check: their form
decide         the part of the schema about verdicts, guardrails and notes
watching       the part of the schema about watched streams and their detectors
flags          the part of the schema about flag files
flag_files     which flag files there are, and all of them together
flag_document  one flag file and everything that is wrong in it
flag_rules     what flagd's schema cannot say about a targeting rule
flagd_schema   flagd's JSON Schema, with mistakes at their place
structured_field  a member of a dictionary in a header field
sites          several regions and clusters as one configuration, and what has to be the same in all of them
tokens         the file with the tokens of the admin API
secret         values that are not shown
load           file or folder → ``Loaded``: config, files, digest, origins
origins        a value by its path, and where it came from
diff           what a change from one configuration to another does
json_schema    ``schema`` as JSON Schema, for editors
reference      ``schema`` as Markdown, for readers
=============  ==========================================================================================
"""
