# ---
# course:
#   title: Distillation
#   minutes: 130
#   tier: cpu
#   memory_mb: 1200
#   seconds: 45
# ---

# %% [markdown] id="objectives"
# A small model serves for a fraction of a large one's price. Can the large one teach it, is that better than letting
# it learn alone, and when is the schooling earned back? After this chapter you can:
#
# 1. say what a teacher's probabilities hold that the text doesn't, and soften them with a temperature;
# 2. choose between forward KL, reverse KL and what lies between, and scale the loss so that the teacher is heard;
# 3. start a student from random weights or from its pruned teacher, train it, and take up a run that was killed;
# 4. compare a distilled student with the same student trained alone: at equal tokens, and at equal compute with the
#    teacher's work counted;
# 5. tell which kind of distillation your access to the teacher allows;
# 6. find the day on which distillation has paid for itself.
#
# Every number here says whether it was measured, recorded, published, predicted or assumed.

# %% id="imports"
import time
from dataclasses import replace
from math import ceil

import numpy as np
import torch

from course_utils.catalog import accelerator, assumed, cheapest, measured_here, model, published
from course_utils.compress import (
    Alone,
    Distill,
    HiddenMatch,
    Plan,
    distillation_cost,
    distillation_lesson,
    distillation_losses,
    distillation_results,
    distillation_start,
    distillation_study,
    teacher_texts,
    train,
)
from course_utils.estimate.predict import predict
from course_utils.explore import Bars, Chart, Choice, Line, Points, Slider, View, explorer, show
from course_utils.grading import check
from course_utils.measure.runtime import device, fit_threads

# %% [markdown] id="teacher"
# The **teacher**: on a CPU the course's own tiny model, trained on Python's documentation. On a GPU with the hub in
# reach it is SmolLM2-360M, and the student has the shape of SmolLM2-135M. The text is docstrings of two packages that
# you have installed; the held-out text is from Python's language reference.

# %% id="teacher-load"
fit_threads()
lesson = distillation_lesson.lesson()
teacher, tokenizer, shape = lesson.teacher, lesson.tokenizer, lesson.shape
weights = sum(p.numel() for p in teacher.parameters())
print(f"{lesson.label}: {weights / 1e6:.1f} million weights, on {device()}")
print(f"{len(lesson.tokens):,} tokens to learn from, {lesson.held_out.numel():,} to test on")

# %% [markdown] id="soft"
# ## 1. What the teacher knows and the text doesn't
#
# Text says which token came next. It doesn't say what else would have been right. A teacher does: it gives every token
# of the vocabulary a probability.
#
# Here is the beginning of a docstring, up to a point where more than one word could follow: “axis : int or …”.
#
# **Predict.** How many of the vocabulary's tokens share 90 % of the teacher's probability: 2, 50 or 1,000?

# %% id="soft-logits"
words = "def count(values, axis=None)\n\nParameters\n----------\naxis : int or"
ids = torch.tensor([[lesson.start, *tokenizer.encode(words, add_special_tokens=False)]])
with torch.inference_mode():
    logits = teacher(input_ids=ids.to(device())).logits[0, -1].float().cpu()
ranked = logits.softmax(-1).sort(descending=True)
shared = int((ranked.values.cumsum(0) < 0.9).sum()) + 1
print(f"{shared} of {len(logits):,} tokens share 90 % of the probability")

# %% id="soft-figure"
first = [tokenizer.decode([token]) for token in ranked.indices[:6].tolist()]
first = [f"{at + 1}. {name.strip() or repr(name)}" for at, name in enumerate(first)]
soft = {
    f"T = {t}": distillation_losses.log_probabilities(logits, t).exp()[ranked.indices[:6]] for t in (1, 2, 4)
}
bars = [Bars(name, first, 100 * p.numpy()) for name, p in soft.items()]
tops = [100 * float(p[0]) for p in soft.values()]
title = f"The likeliest next token has {tops[0]:.0f} %; at a temperature of 4, {tops[2]:.1f} %"
show(
    View(title, bars, f"{measured_here()}; the six likeliest after “axis : int or”"),
    Chart("", "probability (%)"),
)

# %% [markdown] id="soft-meaning"
# The text would have told the student one of these and called all the others wrong. The teacher's **soft target**
# tells in one go what it would take many sentences to find out.
#
# A **temperature** T divides the logits before the softmax. Above 1 it flattens: small probabilities, and with them
# the order among the unlikely, weigh more in the loss. Move it:


# %% id="temperature-compute"
def softened_at(temperature):
    p = distillation_losses.log_probabilities(logits, temperature).exp().sort(descending=True).values
    many = int((p.cumsum(0) < 0.9).sum()) + 1
    entropy = float(-(p * p.clamp_min(1e-30).log()).sum())
    title = (
        f"At T = {temperature:.2g}, {many:,} tokens share 90 %: as undecided as among {np.exp(entropy):,.0f}"
    )
    rank = np.unique(np.geomspace(1, len(p), 90).astype(int))
    curves = Line("this T", rank, 100 * p[rank - 1].clamp_min(1e-9).numpy())
    plain = Line("T = 1", rank, 100 * ranked.values[rank - 1].clamp_min(1e-9).numpy(), dash=True)
    return View(title, (curves, plain), f"{measured_here()}; likeliest token first")


# %% id="temperature-explorer"
axes = Chart("rank of the token", "probability (%)", x_scale="log", y_scale="log", y_range=(1e-6, 100))
explorer(softened_at, {"temperature": Slider(2.0, 0.3, 10.0, log=True, label="temperature")}, axes)

# %% [markdown] id="temperature-questions"
# Try: at which T is the teacher as undecided as among 1,000 tokens? What does a T below 1 teach? (Only what it would
# have answered.)

# %% [markdown] id="q1-card" exercise="ch06.q1"
# ### Exercise 1 · soft targets
# ●○○ · 5 minutes
#
# `logits` is a list of positions; each is a list with one number per token. Return probabilities of the same shape,
# at this `temperature`.


# %% id="q1" tags=["exercise"] exercise="ch06.q1"
def softened(logits, temperature):
    """A list of rows, each summing to 1."""
    ### BEGIN SOLUTION
    rows = []
    for row in logits:
        powers = [np.exp(logit / temperature) for logit in row]
        rows.append([power / sum(powers) for power in powers])
    return rows
    ### END SOLUTION


# %% id="q1-check" tags=["check"] exercise="ch06.q1"
check("ch06.q1", softened)

# %% [markdown] id="q1-hint" exercise="ch06.q1"
# <details><summary>Hint</summary>
#
# What competes with what? Tokens at one position do, and they share a probability of 1.
# </details>

# %% [markdown] id="q1-solution" exercise="ch06.q1"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="kl"
# ## 2. Which way round
#
# The loss says how far the student's q is from the teacher's p. The **Kullback-Leibler divergence** does, and it has a
# direction:
#
# - **forward**, KL(p ‖ q) = Σ p log(p/q): dear where the teacher sees something and the student doesn't;
# - **reverse**, KL(q ‖ p) = Σ q log(q/p): dear where the student sees something and the teacher doesn't.
#
# Take a student too small for its teacher: the teacher has two peaks, the student can only have one.
#
# **Predict.** Where does it put its peak under the forward KL, and where under the reverse?

# %% id="kl-setting"
place = torch.linspace(-4, 4, 161, dtype=torch.float64)
two_peaks = torch.logaddexp(-((place + 1.6) ** 2) / 0.5, -((place - 1.6) ** 2) / 0.5 - 0.4)
centres, widths = torch.linspace(-3, 3, 61), torch.linspace(0.3, 3, 28)
bumps = -((place - centres[:, None, None]) ** 2) / (2 * widths[:, None] ** 2)  # every student that there is
peaks = two_peaks.expand_as(bumps)


# %% id="kl-best"
def best_student(beta):
    apart = distillation_losses.generalized_jsd(bumps, peaks, beta)
    at = divmod(int(apart.argmin()), len(widths))
    return bumps[at].softmax(-1), float(centres[at[0]]), float(widths[at[1]])


covers, seeks = best_student(0.0), best_student(1.0)

# %% id="kl-figure"
seen = place <= 2  # the names of the lines stand where the lines end
lines = [Line("teacher", place[seen], 100 * two_peaks.softmax(-1)[seen], dash=True)]
lines += [Line(way, place[seen], 100 * q[0][seen]) for way, q in (("forward", covers), ("reverse", seeks))]
title = f"Forward KL spreads the student over both peaks ({covers[2] / seeks[2]:.1f} times as wide), "
title += "reverse picks one"
show(
    View(title, lines, "computed: the best of 1,708 students with one peak"),
    Chart("answer", "probability (%)"),
)

# %% [markdown] id="kl-meaning"
# Forward KL is **mode-covering**: the student learns to do a bit of everything, and puts probability between the peaks,
# where the teacher says nothing. Reverse is **mode-seeking**: it does one thing well and forgets the other. The
# **generalized Jensen-Shannon divergence** mixes them with β: 0 is forward, 1 is reverse.


# %% id="beta-compute"
def student_at(beta):
    q, centre, width = best_student(round(beta, 3))
    lines = (Line("teacher", place, 100 * two_peaks.softmax(-1), dash=True), Line("student", place, 100 * q))
    valley = float(100 * q[(place.abs() < 0.8)].sum())
    title = f"β = {beta:.2g}: the student's peak lies at {centre:.1f}, "
    title += f"{valley:.0f} % of it in the valley where the teacher says nothing"
    return View(title, lines, "computed: the best student with one peak")


# %% id="beta-explorer"
explorer(
    student_at,
    {"beta": Slider(0.5, 0.0, 1.0, 0.05, label="β")},
    Chart("answer", "probability (%)", y_range=(0, 4.5)),
)

# %% [markdown] id="beta-questions"
# Try: at which β does the student let go of the smaller peak? A language model that is to give *one* good answer, in
# code, say, may want the reverse; one whose samples should be as varied as the teacher's wants the forward. A student
# that is large enough for both peaks has no such choice to make.

# %% [markdown] id="q2-card" exercise="ch06.q2"
# ### Exercise 2 · forward KL
# ●○○ · 5 minutes
#
# `teacher` and `student` are lists of probabilities over the same tokens, none of them 0. Return the forward KL in
# nats.


# %% id="q2" tags=["exercise"] exercise="ch06.q2"
def forward_kl(teacher, student):
    """Nats, 0 or more."""
    ### BEGIN SOLUTION
    return sum(p * np.log(p / q) for p, q in zip(teacher, student, strict=True))
    ### END SOLUTION


# %% id="q2-check" tags=["check"] exercise="ch06.q2"
check("ch06.q2", forward_kl)

# %% [markdown] id="q2-hint" exercise="ch06.q2"
# <details><summary>Hint</summary>
#
# Whose probabilities weigh the logarithm? Those of the one who has to be covered.
# </details>

# %% [markdown] id="q2-solution" exercise="ch06.q2"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="student"
# ## 3. A student of a quarter
#
# It has the teacher's vocabulary, and less of everything else. It can start from random weights, or as the teacher cut
# to its shape: the layers, head groups, MLP channels and hidden channels that matter most on some text (chapter 05).
# That is the way of NVIDIA's Minitron: **prune, then distil**.
#
# **Predict.** What is the loss of a student with random weights, in nats per token? And of the pruned one, before any
# training?

# %% id="student-make"
fresh = distillation_start.from_scratch(teacher, shape, seed=1)
cut = distillation_start.pruned(teacher, shape, lesson.calibration(), progress=False)
for name, one in (("teacher", teacher), ("random student", fresh), ("pruned student", cut)):
    size = sum(p.numel() for p in one.parameters())
    print(
        f"{name:15} {size / 1e6:6.2f} M weights ({size / weights:4.0%}), {lesson.score(one):.2f} nats per token"
    )
print(f"guessing evenly among {teacher.config.vocab_size:,} tokens: {np.log(teacher.config.vocab_size):.2f}")

# %% [markdown] id="student-meaning"
# Random weights know nothing: their loss is that of an even guess. The pruned student has lost most of what the
# teacher could do, and still starts lower. What is left is in there for free.
#
# ### Why T²
#
# Softening makes gradients smaller. **Predict.** From T = 4 to T = 8, how many times as small does the soft loss's
# gradient get?

# %% id="gradient-compute"
with torch.no_grad():
    ours = fresh(input_ids=lesson.held_out[:2].to(device())).logits
    theirs = teacher(input_ids=lesson.held_out[:2].to(device())).logits.float()
temperatures, sizes = np.array([1, 1.5, 2, 3, 4, 6, 8, 12]), []
for t in temperatures:
    q = ours.float().clone().requires_grad_()
    distillation_losses.forward_kl(q, theirs, float(t)).mean().backward()
    sizes.append(float(q.grad.norm()))
plain = np.array(sizes) / sizes[4]
scaled = plain * (temperatures / 4) ** 2

# %% id="gradient-figure"
lines = [Line("without T²", temperatures, plain), Line("with T²", temperatures, scaled)]
title = f"From T = 4 to 8 the teacher's voice falls to {plain[6]:.2f} of itself; with T² it stays at {scaled[6]:.2f}"
note = f"{measured_here()}: gradient with respect to the student's logits, relative to T = 4"
axes = Chart("temperature T", "size of the gradient (T = 4 is 1)", x_scale="log", y_scale="log")
show(View(title, lines, note), axes)

# %% [markdown] id="gradient-meaning"
# So the soft loss is multiplied by T²: Hinton's rule. It holds once the probabilities are soft, on the right, where
# the upper line is flat. On the left the gradient falls faster still: there it is the teacher's peaks themselves that
# are flattened away, and that is what you ask a temperature to do. Without T², a high T is a low learning rate in
# disguise, and in a mix with the text's own loss the teacher is drowned out.

# %% [markdown] id="q3-card" exercise="ch06.q3"
# ### Exercise 3 · the loss
# ●●○ · 5 minutes
#
# `soft_kl` is the KL at `temperature`, without any factor; `text_loss` is the ordinary loss of the text. The teacher
# gets `soft_share` of the say, the text the rest. Return the loss.


# %% id="q3" tags=["exercise"] exercise="ch06.q3"
def distillation_loss(soft_kl, text_loss, temperature, soft_share):
    """Nats per token."""
    ### BEGIN SOLUTION
    return soft_share * temperature**2 * soft_kl + (1 - soft_share) * text_loss
    ### END SOLUTION


# %% id="q3-check" tags=["check"] exercise="ch06.q3"
check("ch06.q3", distillation_loss)

# %% [markdown] id="q3-hint" exercise="ch06.q3"
# <details><summary>Hint</summary>
#
# Only one of the two was softened.
# </details>

# %% [markdown] id="q3-solution" exercise="ch06.q3"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="live"
# ### Train
#
# A short run, here and now: the same student twice, once alone with the text, once with its teacher. Same start, same
# text in the same order, same learning rate.
#
# **Predict.** Which one is ahead at the end? And how much longer does a step with the teacher take?

# %% id="live-train"
plan = Plan(steps=32, batch=4, length=128, seed=1, evaluate_steps=8, checkpoint_steps=8)
runs = {}
for name, objective in (("alone", Alone()), ("distilled", Distill(teacher))):
    student = distillation_start.from_scratch(teacher, shape, seed=1)
    runs[name] = train(student, objective, lesson.tokens, plan, evaluate=lesson.score, label=name)

# %% id="live-figure"
done = {name: np.array(run.evaluations).T for name, run in runs.items()}
lines = [Line(name, steps * plan.batch * plan.length / 1000, loss) for name, (steps, loss) in done.items()]
ahead = min(runs, key=lambda name: runs[name].evaluations[-1][1])
longer = runs["distilled"].seconds / runs["alone"].seconds
title = f"After {plan.tokens / 1000:.0f} thousand tokens “{ahead}” is ahead; "
title += f"with a teacher it took {longer:.1f} times as long"
note = f"{measured_here()}, one seed: an example, no result"
show(View(title, lines, note), Chart("tokens (thousands)", "held-out loss (nats per token)"))

# %% [markdown] id="live-meaning"
# One seed proves nothing: section 4 has three, and the comparison that is fair. But you have seen the price of a
# teacher: it reads every token too.
#
# ### Pull the plug
#
# Long trainings are killed: spot instances are taken away, notebooks close. A run that keeps **checkpoints** goes on
# where it was. Here is one that is interrupted in the middle, and called again.


# %% id="plug-pull"
class PlugPulled(Alone):
    calls = 0

    def loss(self, student, ids):
        PlugPulled.calls += 1
        if PlugPulled.calls == 20:
            raise KeyboardInterrupt
        return super().loss(student, ids)


# %% id="plug-run"
folder = distillation_lesson.empty_folder("chapter-06")
short = replace(plan, steps=24)
try:
    train(
        distillation_start.from_scratch(teacher, shape),
        PlugPulled(),
        lesson.tokens,
        short,
        folder=folder,
        progress=False,
    )
except KeyboardInterrupt:
    print("pulled in step 20")
student = distillation_start.from_scratch(teacher, shape)
again = train(student, Alone(), lesson.tokens, short, folder=folder, progress=False)
print(
    f"went on from step {again.resumed_from}, {again.stopped} at {again.step}; kept: {next(folder.iterdir()).name}"
)

# %% [markdown] id="plug-meaning"
# At most one interval is lost, and what follows is what would have happened anyway: the step's number and the seed say
# which tokens it reads. The file holds weights, the optimizer's moments and the history, in safetensors: numbers and
# JSON, no code. (A pickle from somebody else can run anything on your machine.) Chapter 02 says how often to save.
#
# ### A teacher that isn't sitting still
#
# PyTorch models have a training mode, in which **dropout** makes them forget at random. That is for students. The tiny
# model was trained without; say that it had 10 % in its attention, and that somebody left it in training mode.

# %% id="noise"
rows = lesson.held_out[:8].to(device())
for one in teacher.model.layers:
    one.self_attn.attention_dropout = 0.1
torch.manual_seed(0)
teacher.train()
with torch.no_grad():
    once, twice = (teacher(input_ids=rows).logits for _ in range(2))
teacher.eval()
for one in teacher.model.layers:
    one.self_attn.attention_dropout = 0.0
noise = float(distillation_losses.forward_kl(twice, once).mean())
print(f"the same teacher, asked the same twice, is {noise:.3f} nats per token from itself, {measured_here()}")

# %% [markdown] id="noise-meaning"
# A student can't get closer to its teacher than the teacher is to itself. `Distill` puts the teacher into evaluation
# mode at every step; in your own loop, `teacher.eval()` is a line to look for.

# %% [markdown] id="tokens"
# ## 4. Does it help?
#
# Now the study, recorded: four ways to train the same student, three seeds each, each run with its whole learning
# rate schedule. None was tuned: all have the learning rate that the teacher was trained with.
#
# - **alone**: random weights, learns from the text;
# - **distilled**: random weights, learns from the teacher's probabilities;
# - **pruned, alone**: starts as the cut teacher, learns from the text;
# - **pruned, distilled**: both, Minitron's way.
#
# **Predict.** Order the four by their loss at the end.

# %% id="study"
study = distillation_results.study()
runs, ways, budgets = study.runs, study.ways, study.budgets
print(f"{len(runs)} runs, {runs.seed.nunique()} seeds, up to {runs.tokens.max() / 1000:.0f} thousand tokens")
print(
    f"teacher: {study.teacher['held_out']:.2f} nats per token, {study.teacher['tokens'] / 1e6:.1f} million tokens"
)
print(study.label)

# %% id="curves-figure"
lines = [Line(way, *study.curve(way, budgets[-1])) for way in ways]
order = sorted(lines, key=lambda line: line.y[-1])
lines += [Line("teacher", [0, lines[0].x[-1]], [study.teacher["held_out"]] * 2, dash=True)]
title = f"At equal tokens, “{order[0].name}” ends lowest and “{order[-1].name}” highest"
note = f"{study.label}; three seeds, 95 % intervals; each run's learning rate ends at the right"
low, high = min(line.y.min() for line in lines) - 0.3, max(line.y.max() for line in lines) + 0.3
axes = Chart("tokens learned from (thousands)", "held-out loss (nats per token)", y_range=(low, high))
show(View(title, lines, note), axes)

# %% [markdown] id="curves-meaning"
# Look at the left end first, then at the right. Where the lines start, only the pruned two know anything. How far they
# come together shows how long a head start lasts.
#
# A difference between two ways is judged seed by seed: the same seed has the same text in the same order. With three
# seeds an interval is wide, and one that includes 0 shows nothing.


# %% id="gains"
def bars_of(equal):
    gains = [study.gain(way, budget, equal) for budget in budgets for way in ways[1:]]
    names = [f"{one.way}, {study.ktok(one.budget):.0f} k tokens" for one in gains]
    return gains, Bars("", names, *np.array([(one.mean, one.lo, one.hi) for one in gains]).T)


def axis(bars):
    low, high = min(0, min(bars.lo)), max(0, max(bars.hi))
    room = (high - low) / 4  # for the numbers at the bars' ends
    ends = (low - 1.5 * room * (low < 0), high + room)
    return Chart("", "loss of the student alone, less this one's (nats per token)", y_range=ends)


# %% id="equal-tokens-figure"
gains, bars = bars_of("tokens")
better = sum(one.verdict > 0 for one in gains)
title = (
    f"At equal tokens, {better} of {len(gains)} comparisons show the student ahead of the one trained alone"
)
note = f"{study.label}; three pairs of seeds, 95 % intervals; above 0: better than alone"
show(View(title, bars, note), axis(bars))

# %% [markdown] id="compute"
# ## 5. And if the teacher has to be paid?
#
# A token costs the student alone 6 FLOP a weight: 2 forward, 4 backward. A distilled one costs the teacher's forward
# pass on top, 2 FLOP for each of *its* weights. So the study also has the student alone with longer runs, each of them
# as dear as a distilled one.
#
# **Predict.** The teacher has four times the student's weights. How many more tokens does the student alone get for
# the same compute?

# %% id="compute-count"
student_flop, teacher_flop = distillation_study.flop_per_token()
more = distillation_cost.tokens_at_equal_flop(1, student_flop, teacher_flop)
print(f"a token: student {3 * student_flop / 1e6:.1f} MFLOP, its teacher {teacher_flop / 1e6:.1f} MFLOP more")
print(f"for what 1 million tokens cost with the teacher, the student alone reads {more:.2f} million")

# %% id="compute-points"
dots = []
for way in ways:
    ends = [one for _, one in runs[runs.way == way].groupby("steps")]
    middle, low, high = distillation_results.over_seeds(np.array([one.held_out for one in ends]).T)
    gflop = [one.flop.iloc[0] / 1e9 for one in ends]
    kind = Line if len(gflop) > 1 else Points
    dots.append(kind(way, gflop, middle, lo=low, hi=high))

# %% id="compute-figure"
small, large = (study.gain("distilled", budget, "compute").verdict for budget in (budgets[0], budgets[-1]))
word = {1: "beats", -1: "loses to", 0: "can't be told from"}
title = f"With its teacher paid, the distilled student {word[large]} the one trained alone"
if small != large:
    title += f"; at the smaller budget it {word[small]} it"
note = f"{study.label}; three seeds, 95 % intervals; teacher's forward passes counted"
most = max(one.x.max() for one in dots)
axes = Chart("training compute (GFLOP)", "held-out loss (nats per token)", x_range=(0, 1.1 * most))
show(View(title, dots, note), axes)

# %% id="equal-compute-figure"
gains, bars = bars_of("compute")
wins = [one for one in gains if one.verdict > 0]
title = f"At equal compute, {len(wins)} of {len(gains)} comparisons show the student ahead"
note = f"{study.label}; against the student alone with as many FLOP, the cut's included; 95 % intervals"
show(View(title, bars, note), axis(bars))

# %% [markdown] id="compute-meaning"
# Cutting costs too: the teacher reads some text, twice, to show which parts matter. That is in the bill of the pruned
# ways; in runs as short as these it is a good part of it, in a real one next to nothing.
#
# How to read both figures together: what a *teacher* adds is the step from “alone” to “distilled”, and from “pruned,
# alone” to “pruned, distilled”. What the *start* adds is the step from “alone” to “pruned, alone”. Papers that compare
# a pruned and distilled student with one trained from scratch on equal tokens credit both to the teacher.

# %% id="parts"
for budget in budgets:
    print(f"{study.ktok(budget):.0f} thousand tokens, against the student alone:")
    print(f"  the pruned start   {study.gain('pruned, alone', budget, 'tokens')}")
    print(f"  the teacher        {study.gain('distilled', budget, 'tokens')}")
    print(f"  the teacher, paid  {study.gain('distilled', budget, 'compute')}")
print(study.label)

# %% [markdown] id="compute-caveats"
# What this study can't tell you: its student is tiny, its runs are very short, and no text is read twice. Where text is
# scarce a teacher may help more; we didn't try. And who already *has* the teacher's answers, because it serves them,
# has paid for them already: then the first figure counts, not the second. To see longer runs, raise `STEPS` in
# `course_utils/compress/distillation_study.py` and let `course record distillation` work overnight.

# %% [markdown] id="q4-card" exercise="ch06.q4"
# ### Exercise 4 · equal compute
# ●●○ · 5 minutes
#
# A student with `student_parameters` was distilled on `tokens_distilled` from a teacher with `teacher_parameters`.
# From how many tokens could it have learned alone for the same compute? Count 2 FLOP a weight and token for a forward
# pass, 4 for a backward pass; leave attention out.


# %% id="q4" tags=["exercise"] exercise="ch06.q4"
def tokens_alone(student_parameters, teacher_parameters, tokens_distilled):
    """Tokens."""
    ### BEGIN SOLUTION
    student_flop = 6 * student_parameters
    teacher_flop = 2 * teacher_parameters
    return tokens_distilled * (student_flop + teacher_flop) / student_flop
    ### END SOLUTION


# %% id="q4-check" tags=["check"] exercise="ch06.q4"
check("ch06.q4", tokens_alone)

# %% [markdown] id="q4-hint" exercise="ch06.q4"
# <details><summary>Hint</summary>
#
# Who goes forward, and who goes backward too?
# </details>

# %% [markdown] id="q4-solution" exercise="ch06.q4"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="kinds"
# ## 6. What may you see of your teacher?
#
# | You have | You can match | You need |
# |---|---|---|
# | its weights, another vocabulary or none of its inside | **its text** (sequence-level) | nothing but what it writes |
# | its probabilities | **its logits** | one vocabulary |
# | its hidden states | **its layers too** | a projection for each pair of layers |
#
# A teacher behind an API gives you text, at the price of output tokens; read its terms: many forbid to train on it.
#
# **Hidden states.** The student's layers are narrower, so a learned matrix widens them to the teacher's width. It is
# thrown away afterwards.

# %% id="hidden"
match = HiddenMatch(fresh.config, teacher.config)
both = Distill(teacher, hidden=match)
extra = sum(p.numel() for p in match.parameters())
print("student block → teacher block:", ", ".join(f"{ours} → {theirs}" for ours, theirs in match.pairs))
with torch.no_grad():
    start = float(both.loss(fresh, lesson.held_out[:4].to(device())))
print(f"{extra:,} more weights in training, none in the student; loss at the start {start:.2f}")

# %% [markdown] id="text"
# **Sequence-level.** The teacher writes, the student learns from what it wrote. That costs more than reading: the
# teacher *decodes*, token by token, at the price of output tokens (chapter 02).
#
# **Predict.** How many times as long does the teacher take to write a text as to read it?

# %% id="text-write"
prompts = torch.from_numpy(lesson.tokens[: 16 * 64].reshape(16, 64)[:, :16].astype(np.int64))
started = time.perf_counter()
texts = teacher_texts(teacher, prompts, new_tokens=48, seed=1, progress=False)
wrote = time.perf_counter() - started
with torch.no_grad():
    started = time.perf_counter()
    teacher(input_ids=texts.to(device()))
    read = time.perf_counter() - started

# %% id="text-sample"
print(
    f"writing {texts[:, 16:].numel()} tokens took {wrote / read:.0f} times as long as reading them, {measured_here()}"
)
print("…", tokenizer.decode(texts[1, 16:]).strip().replace("\n", " ")[:160], "…")

# %% [markdown] id="text-meaning"
# For that price the student gets less: one token per position instead of a distribution. Sequence-level distillation is
# what you do when you can't see more, or when the teacher's *style of answer* is what you want and no text has it.

# %% [markdown] id="q5-card" exercise="ch06.q5"
# ### Exercise 5 · review a run
# ●●○ · 7 minutes
#
# You read a colleague's log of a run with logits. Return the names of its mistakes, in this order, or an empty list:
# `"teacher"` if the teacher is in training mode; `"factor"` if the soft loss's factor isn't the one that belongs to the
# temperature; `"vocabulary"` if student and teacher don't have the same number of tokens.


# %% id="q5" tags=["exercise"] exercise="ch06.q5"
def mistakes(teacher_is_training, temperature, loss_factor, student_tokens, teacher_tokens):
    """A list of names."""
    ### BEGIN SOLUTION
    found = []
    if teacher_is_training:
        found.append("teacher")
    if loss_factor != temperature**2:
        found.append("factor")
    if student_tokens != teacher_tokens:
        found.append("vocabulary")
    return found
    ### END SOLUTION


# %% id="q5-check" tags=["check"] exercise="ch06.q5"
check("ch06.q5", mistakes)

# %% [markdown] id="q5-hint" exercise="ch06.q5"
# <details><summary>Hint</summary>
#
# At a temperature of 1 the right factor is 1. A run can have several mistakes.
# </details>

# %% [markdown] id="q5-solution" exercise="ch06.q5"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="money"
# ## 7. When does it pay?
#
# You serve Llama-3.1-70B and think of a student: 8B, same vocabulary, start pruned or not. Training is paid once:
# (6 · student + 2 · teacher) FLOP a token. The student is then cheaper day after day.
#
# You rent whole chips, all day. So a day costs the chips that carry its traffic, and never less than what the model
# needs to fit. Below, chips are H100s, half busy on average.

# %% id="money-price"
chip = accelerator("H100 SXM")
offer = cheapest("H100 SXM")
usd_per_hour = offer.usd_per_accelerator_hour
ANSWER, BUSY, MFU = 250, 0.5, 0.4  # tokens out a request, share of the day, share of the peak in training
note_money = f"price {published(offer.provider, offer.as_of)}; half busy, 1,000 tokens in, 250 out, MFU 40 % "
note_money += assumed()

# %% id="money-day"
FITS = {"Llama-3.1-70B": 2, "Llama-3.1-8B": 1, "Llama-3.2-3B": 1, "Llama-3.2-1B": 1}
serves = {
    name: predict(name, "H100 SXM", gpus=n, precision_name="fp8", isl=1000, osl=ANSWER, load="max")
    for name, n in FITS.items()
}


def usd_per_day(name, requests_per_day, end=""):
    per_chip = getattr(serves[name], "out_tok_s_per_gpu" + end) * BUSY
    wanted = requests_per_day * ANSWER / 86_400 / (per_chip * FITS[name])
    return ceil(wanted) * FITS[name] * 24 * usd_per_hour


# %% [markdown] id="money-predict"
# **Predict.** At 2 million requests a day: what does a day cost with the teacher, and with a student of 8B? What does
# training that student on 20 billion tokens cost, and after how many days is it earned back?


# %% id="money-training"
def schooling_usd(student_parameters, tokens):
    flop = distillation_cost.training_flop(tokens, 2 * student_parameters, 2 * parameters["Llama-3.1-70B"])
    return distillation_cost.training_usd(flop, chip.bf16_flop_per_s, MFU, usd_per_hour)


parameters = {name: model(name).parameters for name in FITS}
requests = 2_000_000
cost_of = {name: usd_per_day(name, requests) for name in FITS}
training = schooling_usd(parameters["Llama-3.1-8B"], 20e9)
back = distillation_cost.payback(
    training, cost_of["Llama-3.1-70B"] / requests, cost_of["Llama-3.1-8B"] / requests, requests
)
print(f"a day: teacher {cost_of['Llama-3.1-70B']:,.0f} USD, student {cost_of['Llama-3.1-8B']:,.0f} USD")
print(
    f"training {training:,.0f} USD: earned back after {back.requests / 1e6:.1f} million requests, {back.days:.0f} days"
)

# %% id="money-figure"
days = np.linspace(0, max(60, 2 * back.days), 61)
lines = [Line("teacher", days, cost_of["Llama-3.1-70B"] * days / 1000)]
lines += [Line("8B student", days, (training + cost_of["Llama-3.1-8B"] * days) / 1000)]
title = f"At 2 million requests a day, a student of 8B has paid for itself after {back.days:.0f} days"
show(
    View(title, lines, f"predicted; {note_money}"),
    Chart("days of service", "all costs so far (thousand USD)"),
)

# %% [markdown] id="money-meaning"
# Two things aren't in that line, and both matter more than the price of an hour. **People**: data, evaluations, the
# weeks of an engineer, again with every new teacher. And **quality**: if the student fails one request in fifty that
# the teacher got right, what does that cost you? Add it to the student's side, as chapter 02 did for a missed request.
#
# Move the student's size, the tokens that it learns from, the traffic, and what people cost:


# %% id="money-explorer-compute"
def break_even(student, billion_tokens, requests_per_day, people_usd):
    paid = schooling_usd(parameters[student], billion_tokens * 1e9) + people_usd
    traffic = np.geomspace(1e4, 1e8, 49)
    found = []
    for n in (*traffic, requests_per_day):
        each = [usd_per_day(name, n) / n for name in ("Llama-3.1-70B", student)]
        found.append(distillation_cost.payback(paid, *each, n).days)
    found = np.minimum(found, 1e5)  # beyond: never
    title = (
        f"{paid:,.0f} USD are earned back after {found[-1]:,.0f} days" if found[-1] < 1e5 else "It never pays"
    )
    per_weight = billion_tokens * 1e9 / parameters[student]
    title += f"; {per_weight:.0f} tokens a weight"
    curve = Line("break-even", traffic, found[:-1])
    year = Line("a year", [traffic[0], traffic[-1]], [365, 365], dash=True)
    return View(
        title, (curve, year, Points("you", [requests_per_day], found[-1:])), f"predicted; {note_money}"
    )


# %% id="money-explorer"
explorer(
    break_even,
    {
        "student": Choice(
            "Llama-3.1-8B", [name for name in FITS if name != "Llama-3.1-70B"], label="student"
        ),
        "billion_tokens": Slider(20, 1, 1000, log=True, unit="billion", label="tokens trained on"),
        "requests_per_day": Slider(2_000_000, 10_000, 100_000_000, log=True, label="requests a day"),
        "people_usd": Slider(50_000, 0, 500_000, 10_000, unit="USD", label="people"),
    },
    Chart(
        "requests a day",
        "days until it has paid",
        x_scale="log",
        y_scale="log",
        x_range=(1e4, 1e8),
        y_range=(0.1, 1e5),
    ),
    moving="requests_per_day",
)

# %% [markdown] id="money-questions"
# Try: below which traffic does it take more than a year? There both models sit on the fewest chips that hold them, and
# a smaller student saves nothing more. How many tokens can you afford at 2 million requests a day? Where do people
# cost more than chips? Minitron's authors say that their pruned and distilled students needed up to 40 times fewer
# tokens than the same models from scratch: on this slider, that is where a pruned start earns its keep.

# %% [markdown] id="q6-card" exercise="ch06.q6"
# ### Exercise 6 · the day it pays
# ●○○ · 5 minutes
#
# Serving costs `teacher_usd_per_mtok` or `student_usd_per_mtok` (USD per million tokens); a request has
# `tokens_per_request`. After how many days has the student saved its `training_usd`? The student is the cheaper one.


# %% id="q6" tags=["exercise"] exercise="ch06.q6"
def break_even_days(
    training_usd, teacher_usd_per_mtok, student_usd_per_mtok, tokens_per_request, requests_per_day
):
    """Days."""
    ### BEGIN SOLUTION
    saved_usd_per_mtok = teacher_usd_per_mtok - student_usd_per_mtok
    mtok_per_day = tokens_per_request * requests_per_day / 1_000_000
    return training_usd / (saved_usd_per_mtok * mtok_per_day)
    ### END SOLUTION


# %% id="q6-check" tags=["check"] exercise="ch06.q6"
check("ch06.q6", break_even_days)

# %% [markdown] id="q6-hint" exercise="ch06.q6"
# <details><summary>Hint</summary>
#
# How many million tokens a day, and what does each of them save?
# </details>

# %% [markdown] id="q6-solution" exercise="ch06.q6"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="takeaways"
# ## What to keep
#
# | Rule | Because |
# |---|---|
# | Learn from probabilities where you can see them | they say what else would have been right |
# | Soft loss times T² | softened gradients are 1/T² as large |
# | Forward KL to cover, reverse to do one thing well | the direction says what is forgiven |
# | `teacher.eval()`, one vocabulary, softmax over tokens | each of them fails without an error |
# | Start from the pruned teacher | what is left in it is free |
# | Compare at equal compute, teacher counted, and at equal tokens | the two can disagree |
# | Compare with the same student trained alone, several seeds, intervals | one lucky run isn't a method |
# | Checkpoints without pickle, resumed to the bit | long runs are killed |
# | Break-even in requests before you start | little traffic never pays a training back |

# %% [markdown] id="sources"
# ## Sources
#
# - Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015 (temperature, T²).
# - Kim, Rush, *Sequence-Level Knowledge Distillation*, EMNLP 2016. Romero et al., *FitNets*, ICLR 2015 (hidden states).
# - Agarwal et al., *On-Policy Distillation of Language Models*, ICLR 2024 (generalized JSD). Ours equals TRL 1.16.0's
#   to a millionth: `tests/compress/test_distillation_losses.py`, 2026-11.
# - Muralidharan et al., *Compact Language Models via Pruning and Knowledge Distillation* (Minitron), NeurIPS 2024.
# - Hoffmann et al., *Training Compute-Optimal Large Language Models*, 2022 (6 FLOP a weight and token).
# - The study: `course record distillation`, `course_utils/compress/distillation_study.py`; hardware, versions, date and
#   every sample in `data/recorded/distillation.json`.
# - Prices: `data/gpu_prices.csv`; chips: `data/accelerators.csv`; read 2025-03 to 2026-11.
