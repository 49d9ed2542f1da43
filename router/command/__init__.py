"""What the commands of ``router`` do, each as a function that returns an exit status.

=========  ==========================================================================================
check      mistakes of a configuration, and what a change to it would do
evaluate   recorded requests with labels, sent to a target before it has traffic; its options in evaluate_options
explain    why a request goes where it goes
plan_salt  a salt under which strata are balanced
plan_…     sample size, power, effect, duration (design, asked as question, with traffic) and boundaries
origin     which file and line a value came from, and what it replaced
question   the request that somebody asks about
remote     status and restore, through the admin API of a running router
roster     a file of units and their strata
revisions  what the last changes of a running router changed, where and by whom
schema     JSON Schema and reference of the configuration
terminal   where results for people are written
=========  ==========================================================================================

``router.cli`` turns the command line into calls of these; it imports them only when they are called, so that
``router --help`` is fast.
"""
