# %% [markdown]
# # Lab 4: solutions

# %% tags=["task-4.1"]
import math


def sample_size(N, e, t, p=0.5):
    return math.ceil(N / (1 + e**2 * (N - 1) / (t**2 * p * (1 - p))))


# %% [markdown]
# 4.2: 57%; and $e = 1.96 \sqrt{0.25 / 2401}$ = 2%.

# %% tags=["task-4.2"]
percent_needed = 100 * sample_size(12544, 0.01, 2.576) / 12544
margin_met = 100 * 1.96 * math.sqrt(0.25 / 2401)


# %% tags=["task-4.3"]
def wilson(p, n, z=1.96):
    middle = p + z**2 / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


# %% [markdown]
# 4.4: about 19 and 39 of 40; 127 effective trials.


# %% tags=["task-4.4"]
def design_effect(x, m):
    p = x.mean()
    return x.var() / (p * (1 - p) / m)


deff_critical = design_effect(share["critical"], IMAGES)
deff_masked = design_effect(share["masked"], IMAGES)
effective_trials = 60 * IMAGES / deff_critical

# %% [markdown]
# 4.5: $0.025^{1/n} > 0.99$, $n > \ln 0.025 / \ln 0.99 = 367.04$.

# %% tags=["task-4.5"]
faults_needed = 368

# %% tags=["task-4.6"]
narrower = (~certain).mean()
estimated_rate = narrower * uncertain_sample.mean()

# %% tags=["task-4.7"]
wrong = (lows > true_rate) | (highs < true_rate)
wrong_at_the_end = wrong[:, -1].mean()
wrong_at_any_look = wrong.any(axis=1).mean()

# %% [markdown]
# 4.8: a counts pairs; c: the images are fixed, nothing here says anything about others; d: the bound for 60 faults is
# 6%; e is right, as the power does not know the outcomes, which is what makes f wrong.

# %% tags=["task-4.8"]
follow = "bde"
