"""The configuration: from the bytes of a file to frozen data, or to every mistake in it.

=============  ==========================================================================================
schema         every key as a frozen struct: name, type, default, description; the only part workers import
not_yet        keys and values of later capabilities, which are refused as such
scalars        durations, sizes, shares, sources, URLs, addresses: parse and format
place          where an endpoint is, and how its certificate is verified
logic          which rules in JSONLogic are well formed
mistake        ``Mistake`` (file, line, path, message) and ``ConfigError`` (all of them)
document       bytes → plain tree with a line at each node, bounded in size, depth and expansion
resolve        tree → plain values with units resolved, by the types of ``schema``
references     what one part of a configuration says about another: names, matches, weights, files
load           file or folder → ``Loaded``: config, files, digest, origins
diff           what a change from one configuration to another does
json_schema    ``schema`` as JSON Schema, for editors
reference      ``schema`` as Markdown, for readers
=============  ==========================================================================================
"""
