"""Feature flags in the format of flagd, evaluated by its own core.

========  ==========================================================================
evaluate  the flags of a revision, and what one is for a context
========  ==========================================================================

Which files there are and what may stand in them is ``router.config.flag_files``; the wire protocol is
``router.admin.ofrep``. Workers import none of it.
"""
