"""Makes recorded.run, recorded.qrels and recorded.tsv beside this file: a generated run with ties, negative grades, unjudged documents and
queries that are missing on one side, and its measures by plain Python written from the text of trec_eval's documentation, apart from the
library's code. Run: python3 make.py"""
import math, os, random

here = os.path.dirname(os.path.abspath(__file__))
rnd = random.Random(18)
names = [f"doc-{i}" for i in range(60)] + ["Doc-7", "été", "doc_1", "\U0001d54f", "￼"]
run, qrels = {}, {}
for q in range(14):
    query = f"q{q}"
    if q != 3:
        docs = rnd.sample(names, rnd.choice([1, 4, 25, 40]))
        # Scores on a coarse grid: about a third of neighbours are equal.
        run[query] = [(d, rnd.randrange(0, 40) / 8) for d in docs]
    if q != 5:
        judged = rnd.sample(names, rnd.choice([1, 5, 15]))
        qrels[query] = {d: rnd.choice([-1, 0, 0, 1, 1, 2, 3]) for d in judged}
        if q == 8:
            qrels[query] = {d: 0 for d in judged}

def measures(query, level):
    ranked = sorted(run.get(query, []), key=lambda p: (p[1], p[0].encode()), reverse=True)
    grades = [max(0, qrels[query].get(d, 0)) for d, _ in ranked]
    relevant = sum(1 for g in qrels[query].values() if g >= level)
    ideal = sorted((g for g in qrels[query].values() if g > 0), reverse=True)
    dcg = lambda gs: sum(g / math.log2(i + 2) for i, g in enumerate(gs))
    hit = [g >= level for g in grades]
    out = {}
    for k in (5, 10):
        best = dcg(ideal[:k])
        out[f"ndcg_cut_{k}"] = dcg(grades[:k]) / best if best > 0 else 0.0
    best = dcg(ideal)
    out["ndcg"] = dcg(grades) / best if best > 0 else 0.0
    out["map"] = sum(sum(hit[: i + 1]) / (i + 1) for i, h in enumerate(hit) if h) / relevant if relevant else 0.0
    out["map_cut_10"] = sum(sum(hit[: i + 1]) / (i + 1) for i, h in enumerate(hit[:10]) if h) / relevant if relevant else 0.0
    out["recip_rank"] = next((1 / (i + 1) for i, h in enumerate(hit) if h), 0.0)
    for k in (5, 20):
        out[f"recall_{k}"] = sum(hit[:k]) / relevant if relevant else 0.0
        out[f"P_{k}"] = sum(hit[:k]) / k
        out[f"success_{k}"] = float(any(hit[:k]))
    return out

with open(os.path.join(here, "recorded.run"), "w", newline="\n") as f:
    for query, docs in run.items():
        for rank, (d, s) in enumerate(docs):
            f.write(f"{query} Q0 {d} {rank + 1} {s} python\n")
with open(os.path.join(here, "recorded.qrels"), "w", newline="\n") as f:
    for query, docs in qrels.items():
        for d, g in docs.items():
            f.write(f"{query} 0 {d} {g}\n")
with open(os.path.join(here, "recorded.tsv"), "w", newline="\n") as f:
    f.write("level\tquery\tmeasure\tvalue\n")
    for level in (1, 2):
        for query in qrels:
            for name, value in measures(query, level).items():
                f.write(f"{level}\t{query}\t{name}\t{value!r}\n")
