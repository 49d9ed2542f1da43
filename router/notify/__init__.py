"""Notifications: what people are told, and what that looks like where they read it.

Pure; sending, trying again and counting is ``router.control``'s. A map of the package:

- ``notice``: a notification, what is to be done to deliver it, the seam for notifiers
- ``webhook``: JSON to a URL, signed if wanted
- ``slack``: Slack's message format to an incoming webhook
- ``command``: JSON on the standard input of a program
- ``again``: whether and when a delivery that failed is tried again
"""
