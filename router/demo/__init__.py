"""Two real classifiers, the router in front of them, real traffic, and a table of what happens.

``digits``   the data: images of digits, which ones train, which ones are sent, and how a request looks
``model``    a model server, a process of its own, speaking the Open Inference Protocol
``traffic``  a few hundred users who send images and check the answers
``callers``  another application's users, among whom a new build is released
``canary``   what they saw of it, and whether it was taken back when it turned bad
``labels``   the labels of the images, sent back late as outcomes
``tally``    what the users saw: per split, per arm, per user
``agree``    what the router's own analysis makes of its log
``verdict``  whether that is what the router promises
``edit``     changes to the YAML text that keep everything else as it is
``process``  child processes: started, waited for, ended
``gateway``  the router under show: its configuration, its process, what its admin API says
``table``    tally and verdict for a terminal
``show``     one show, from the first process to the verdict
``run``      what the command line calls

Mutable state: one ``Tally``, one ``CanaryTally`` and the children of one show; nothing outlives ``run``.
"""
