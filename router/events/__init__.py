"""What happened, kept as lines of JSON.

``model``    the events and journal entries as frozen structs, and the revision that workers follow
``policy``   a linear policy, as the control process publishes it
``log``      a worker's event log: bounded buffer, one writer thread, rotated segments
``segment``  the files of the log: names, whole lines, rotation
``read``     segments back as events, while they are written and after a crash
``keep``     which segments may go, by age and size
``older``    what the journal let go, compressed, so that any revision can come back
``ticks``    which weights bandits published, apart from the journal
``lines``    a log of lines beside the journal: fsynced, mended, bounded
``decisions``  the decision log: its lines, their numbers, questions about the past
``told``     which notifications were told to whom
``evaluation``  what an offline check is asked to do
``evaluated``  what it found
``rollout``  where a release is, what guardrails said, what was decided
``journal``  what was decided: fsynced, checked, compacted

Mutable state: *Per process* one ``EventLog`` in a worker, one ``Journal`` in the control process.
"""
