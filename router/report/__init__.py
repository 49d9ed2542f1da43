"""From what is known of an experiment to what is said of it: effects, checks, a decision with its reason.

report      everything that is said, as frozen data
scene       one phase with all that is known of it
progress    how far it is: sizes, times, the planned end, days, what more data would bring
compare     questions of one family, compared by one method and corrected together
looks       looks that count: group-sequential ones, and the one at which a ratio test decided
effects     which metrics are asked about, in which families, by which method
within      the same within strata, and step by step of a funnel
merged      arms that answer together: which ranker is preferred, and no metrics by arm
slotted     a switchback: the effect over slots of time, and what a slot leaves to the next
levels      two experiments of one treatment, by units and by clusters: interference
before_after  a route's exchanges before and after a phase began: pre/post
formed      guardrails that are no comparison with control
known       what conditions are told of single metrics
guardrail   whether an arm keeps within a margin
covariance  how estimates of several metrics vary together
overall     the overall evaluation criterion
slices      effects in slices, gaps between them, Simpson's paradox
trend       whether an effect goes with time
checks      what could make a result wrong though its arithmetic is right
verdict     what follows, from a checklist
compose     all of it, for one experiment

document    a report as JSON
digits      numbers and effects in words, with no more digits than data carry
plots       the plots of a report, as SVG
page        a report as one page of HTML
style       how pages look, and their plain tables; needs no extra
release_block  where a release is, as part of a page
postmortem  a release that was taken back, as frozen data; with postmortem_page and postmortem_plots
found       what a fold found, as tables of that page
wording     how what a fold found is said

Pure; shown by ``router analyze``, ``GET /v1/experiments/NAME/report`` and a page.
"""
