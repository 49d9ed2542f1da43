"""Statistics over aggregates: effects with intervals, and tests that say what they are valid for.

effect         what every method returns: an effect, or that there is not enough data
crossing       with what probability a statistic crosses boundaries at successive looks
spending       how much of an error rate may be spent by when
boundaries     boundaries of group-sequential tests, planned and at looks as they come
futility       boundaries for stopping for futility
operating      power, drift, inflation and expected size of such designs
fixed          fixed-horizon comparisons of two arms: which metric takes which of the next
difference     means and ratios by Student's t, over units or clusters; relative effects
proportions    0 and 1: the z-test of two proportions, and Fisher's; their intervals are in ``score``
adjusted       differences adjusted by what was known before the exposure (CUPED)
quantiles      quantiles by intervals of ranks
funnels        funnels, step by step
strata         effects as if both arms had the same mix of strata
ranks          the Mann-Whitney test
bootstrap      intervals by resampling values, sketches or clusters
bayes          chance to win, expected loss, credible intervals
margins        non-inferiority, superiority by a margin, equivalence
corrections    many questions at once: Bonferroni, Holm, Benjamini-Hochberg
always_valid   comparisons at any time: which metric takes which of the next
mixture        the mixture SPRT: a normal mixture over effects
confidence_sequence  means and ratios at any time, asymptotic, with a covariate or without
e_process      proportions at any time, exact
cdf_band       quantiles at any time
adaptive       effects of bandits, by propensity-weighted sums
monitor        group-sequential verdicts at the looks that were taken
stagewise      p-value and interval after such a test stopped
sprt           Wald's test of no effect against one of a given size
preference     which of two interleaved rankers is preferred, once and at any time
clusters       whole clusters randomised: ratios of sums, CR2
switchback     slots of time as clusters, and what one leaves to the next
interference   do units one by one show the effect that clusters show
pre_post       before and after a change: an interrupted time series
readable       when a fixed-horizon result may be read

Pure: sums in, frozen data out; whoever needs random numbers is given a generator. What scipy and statsmodels do is left
to them. ``docs/statistics.md`` has each method's formula, assumptions and source.
"""
