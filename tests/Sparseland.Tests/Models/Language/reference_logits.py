"""Logits of tiny Llama, GPT-2 and GPT-NeoX models, written plainly from the architectures' papers: the expected values of
FolderLogitsTests. Weights come from integers that both sides compute alike; everything here is float64 on the weights as a file of
that type holds them, so float32 results must agree to about 1e-5.

    python3 reference_logits.py > ReferenceLogits.cs        (PyTorch 1.13)
"""
import math
import torch
import torch.nn.functional as F

VOCABULARY, LAYERS = 29, 2
IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6], [5, 28, 5, 8, 9, 7, 9, 0]])


def weight(index, shape, norm, kind):
    """Numbers in [-1/2, 1/2) by mixing bits; 1 + a quarter of them for the weights of norms. Exact in float32."""
    i = torch.arange(math.prod(shape), dtype=torch.int64)
    h = (i * 2654435761 + index * 2246822519 + 12345) & 0xFFFFFFFF
    h = h ^ (h >> 15)
    h = (h * 40503) & 0xFFFFFFFF
    h = h ^ (h >> 13)
    v = (h >> 8).to(torch.float64) / 2**24 - 0.5
    v = 1 + v / 4 if norm else v
    return v.to(torch.float32).to(kind).to(torch.float64).reshape(shape)


def weights(shapes, kind):
    """All weights by name; the t-th name in ordinal order has the t-th numbers."""
    is_norm = lambda name: name.endswith(".weight") and ("norm" in name or ".ln_" in name)
    return {name: weight(t, shapes[name], is_norm(name), kind) for t, name in enumerate(sorted(shapes))}


def attend(q, k, v):
    """One query per row over itself and earlier rows; all [batch, heads, tokens, width]."""
    tokens = q.shape[2]
    scores = torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(q.shape[3])
    scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), -math.inf)
    out = torch.einsum("bhij,bhjd->bhid", torch.softmax(scores, -1), v)
    return out.permute(0, 2, 1, 3).reshape(out.shape[0], tokens, -1)


def turn(x, turned, theta):
    """Rotary positions, pair by pair."""
    out = x.clone()
    half = turned // 2
    for p in range(x.shape[2]):
        for i in range(half):
            a = p * theta ** (-2 * i / turned)
            x1, x2 = x[:, :, p, i], x[:, :, p, i + half]
            out[:, :, p, i] = x1 * math.cos(a) - x2 * math.sin(a)
            out[:, :, p, i + half] = x2 * math.cos(a) + x1 * math.sin(a)
    return out


def heads(x, count):
    return x.reshape(x.shape[0], x.shape[1], count, -1).permute(0, 2, 1, 3)


def llama(kind):
    d, m, h, kv, hd, theta, eps = 16, 24, 4, 2, 6, 500.0, 1e-5
    shapes = {"model.embed_tokens.weight": (VOCABULARY, d), "model.norm.weight": (d,), "lm_head.weight": (VOCABULARY, d)}
    for l in range(LAYERS):
        p = f"model.layers.{l}."
        shapes |= {p + "input_layernorm.weight": (d,), p + "post_attention_layernorm.weight": (d,),
                   p + "self_attn.q_proj.weight": (h * hd, d), p + "self_attn.k_proj.weight": (kv * hd, d),
                   p + "self_attn.v_proj.weight": (kv * hd, d), p + "self_attn.o_proj.weight": (d, h * hd),
                   p + "mlp.gate_proj.weight": (m, d), p + "mlp.up_proj.weight": (m, d), p + "mlp.down_proj.weight": (d, m)}
    w = weights(shapes, kind)
    norm = lambda x, n: x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * w[n]
    x = w["model.embed_tokens.weight"][IDS]
    for l in range(LAYERS):
        p = f"model.layers.{l}."
        n = norm(x, p + "input_layernorm.weight")
        q = turn(heads(n @ w[p + "self_attn.q_proj.weight"].T, h), hd, theta)
        k = turn(heads(n @ w[p + "self_attn.k_proj.weight"].T, kv), hd, theta)
        v = heads(n @ w[p + "self_attn.v_proj.weight"].T, kv)
        k = torch.stack([k[:, i // (h // kv)] for i in range(h)], 1)
        v = torch.stack([v[:, i // (h // kv)] for i in range(h)], 1)
        x = x + attend(q, k, v) @ w[p + "self_attn.o_proj.weight"].T
        n = norm(x, p + "post_attention_layernorm.weight")
        g = n @ w[p + "mlp.gate_proj.weight"].T
        x = x + (g / (1 + torch.exp(-g)) * (n @ w[p + "mlp.up_proj.weight"].T)) @ w[p + "mlp.down_proj.weight"].T
    return norm(x, "model.norm.weight") @ w["lm_head.weight"].T


def gpt2(kind):
    d, m, h, context = 16, 64, 4, 12
    shapes = {"transformer.wte.weight": (VOCABULARY, d), "transformer.wpe.weight": (context, d),
              "transformer.ln_f.weight": (d,), "transformer.ln_f.bias": (d,)}
    for l in range(LAYERS):
        p = f"transformer.h.{l}."
        shapes |= {p + "ln_1.weight": (d,), p + "ln_1.bias": (d,), p + "ln_2.weight": (d,), p + "ln_2.bias": (d,),
                   p + "attn.c_attn.weight": (d, 3 * d), p + "attn.c_attn.bias": (3 * d,), p + "attn.c_proj.weight": (d, d), p + "attn.c_proj.bias": (d,),
                   p + "mlp.c_fc.weight": (d, m), p + "mlp.c_fc.bias": (m,), p + "mlp.c_proj.weight": (m, d), p + "mlp.c_proj.bias": (d,)}
    w = weights(shapes, kind)
    norm = lambda x, n: F.layer_norm(x, (d,), w[n + ".weight"], w[n + ".bias"], 1e-5)
    dense = lambda x, n: x @ w[n + ".weight"] + w[n + ".bias"]
    x = w["transformer.wte.weight"][IDS] + w["transformer.wpe.weight"][: IDS.shape[1]]
    for l in range(LAYERS):
        p = f"transformer.h.{l}."
        q, k, v = dense(norm(x, p + "ln_1"), p + "attn.c_attn").split(d, 2)
        x = x + dense(attend(heads(q, h), heads(k, h), heads(v, h)), p + "attn.c_proj")
        u = dense(norm(x, p + "ln_2"), p + "mlp.c_fc")
        x = x + dense(0.5 * u * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3))), p + "mlp.c_proj")
    return norm(x, "transformer.ln_f") @ w["transformer.wte.weight"].T


def neox(kind, parallel=True):
    d, m, h, turned = 32, 40, 2, 4
    shapes = {"gpt_neox.embed_in.weight": (VOCABULARY, d), "embed_out.weight": (VOCABULARY, d),
              "gpt_neox.final_layer_norm.weight": (d,), "gpt_neox.final_layer_norm.bias": (d,)}
    for l in range(LAYERS):
        p = f"gpt_neox.layers.{l}."
        for n in ("input_layernorm", "post_attention_layernorm"):
            shapes |= {p + n + ".weight": (d,), p + n + ".bias": (d,)}
        for n, a, b in (("attention.query_key_value", 3 * d, d), ("attention.dense", d, d), ("mlp.dense_h_to_4h", m, d), ("mlp.dense_4h_to_h", d, m)):
            shapes |= {p + n + ".weight": (a, b), p + n + ".bias": (a,)}
    w = weights(shapes, kind)
    norm = lambda x, n: F.layer_norm(x, (d,), w[n + ".weight"], w[n + ".bias"], 1e-5)
    dense = lambda x, n: x @ w[n + ".weight"].T + w[n + ".bias"]
    x = w["gpt_neox.embed_in.weight"][IDS]
    for l in range(LAYERS):
        p = f"gpt_neox.layers.{l}."
        fused = dense(norm(x, p + "input_layernorm"), p + "attention.query_key_value").reshape(*IDS.shape, h, 3, d // h)
        q, k, v = (fused[:, :, :, i].permute(0, 2, 1, 3) for i in range(3))
        a = dense(attend(turn(q, turned, 10000.0), turn(k, turned, 10000.0), v), p + "attention.dense")
        u = dense(norm(x if parallel else x + a, p + "post_attention_layernorm"), p + "mlp.dense_h_to_4h")
        x = x + a + dense(0.5 * u * (1 + torch.erf(u / math.sqrt(2))), p + "mlp.dense_4h_to_h")
    return norm(x, "gpt_neox.final_layer_norm") @ w["embed_out.weight"].T


def show(name, logits):
    print(f"    // [0, 7, :] and [1, 4, :]\n    public static readonly double[] {name} =\n    [")
    for row in (logits[0, 7], logits[1, 4]):
        for i in range(0, VOCABULARY, 8):
            print("        " + " ".join(f"{v:.9f}," for v in row[i: i + 8].tolist()))
    print("    ];")


if __name__ == "__main__":
    print(f"""namespace Sparseland.Tests.Models.Language;

/// <summary>Printed by reference_logits.py with PyTorch {torch.__version__}.</summary>
internal static class ReferenceLogits
{{""")
    first = True
    for name, model in (("Llama", llama), ("Gpt2", gpt2), ("NeoX", neox), ("NeoXSequential", lambda kind: neox(kind, False))):
        for kind in (torch.float32, torch.float16, torch.bfloat16):
            if not first:
                print()
            first = False
            show(name + {torch.float32: "Float32", torch.float16: "Float16", torch.bfloat16: "BFloat16"}[kind], model(kind))
    print("}")
