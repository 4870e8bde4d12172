"""Logits of tiny models of the Llama family (Llama with biases and scaled positions, Mistral, Qwen2, Qwen3, Gemma 2), written plainly in
float64 from their papers and from the formulas that Hugging Face's transformers document: the expected values of DecoderLogitsTests.
Each case is a config.json; weights are those of reference_logits.py. float32 results must agree to about 1e-5.

    python3 reference_decoders.py > ReferenceDecoders.cs        (PyTorch 1.13)

Scaled positions: linear divides the angle of each pair; dynamic raises the base to theta * (f * n / L - (f - 1))^(d / (d - 2)) for n
tokens beyond L; llama3 goes by wavelength; yarn (arXiv 2309.00071, eq. 17 to 23) by the turns of a pair within the first length.
"""
import json
import math
import torch
from reference_logits import IDS, VOCABULARY, weight

LLAMA = dict(model_type="llama", vocab_size=VOCABULARY, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=12, rms_norm_eps=1e-5, rope_theta=500.0, hidden_act="silu", tie_word_embeddings=False)
GEMMA = dict(model_type="gemma2", vocab_size=VOCABULARY, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=12, max_position_embeddings=12, rms_norm_eps=1e-6, rope_theta=500.0, hidden_activation="gelu_pytorch_tanh",
             hidden_act="gelu_pytorch_tanh", query_pre_attn_scalar=20, attn_logit_softcapping=2.0, final_logit_softcapping=6.0, sliding_window=3)
CASES = {
    "llama, heads of another width, biases": LLAMA | dict(head_dim=12, attention_bias=True, mlp_bias=True),
    "llama, linear": LLAMA | dict(rope_scaling={"type": "linear", "factor": 2.5}),
    "llama, dynamic": LLAMA | dict(max_position_embeddings=5, rope_scaling={"type": "dynamic", "factor": 3.0}),
    "llama, dynamic within its length": LLAMA | dict(rope_scaling={"rope_type": "dynamic", "factor": 3.0}),
    "llama, yarn": {k: v for k, v in LLAMA.items() if k != "rope_theta"}
    | dict(head_dim=12, rope_parameters={"rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 64}),
    "llama, yarn with all its options": LLAMA | dict(head_dim=12, rope_scaling={
        "rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 40, "beta_fast": 3.0, "beta_slow": 0.5, "mscale": 0.7, "mscale_all_dim": 1.5, "truncate": False}),
    "llama, yarn with a given attention factor": LLAMA | dict(rope_scaling={"type": "yarn", "factor": 2.0, "attention_factor": 1.3}),
    "llama, llama3": LLAMA | dict(head_dim=12, rope_scaling={
        "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}),
    "mistral, no window": LLAMA | dict(model_type="mistral", sliding_window=None),
    "mistral, window": LLAMA | dict(model_type="mistral", head_dim=12, sliding_window=3),
    "qwen2": LLAMA | dict(model_type="qwen2", use_sliding_window=False, sliding_window=3, max_window_layers=1, tie_word_embeddings=True),
    "qwen2, window in the later block": LLAMA | dict(model_type="qwen2", use_sliding_window=True, sliding_window=3, max_window_layers=1),
    "qwen3": LLAMA | dict(model_type="qwen3", head_dim=12, attention_bias=False),
    "gemma2": GEMMA,
    "gemma2, no caps": GEMMA | dict(attn_logit_softcapping=None, final_logit_softcapping=None),
}


def shapes(c):
    d, m, h, kv = (c[k] for k in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads"))
    hd, kind = c.get("head_dim", d // h), c["model_type"]
    out = {"model.embed_tokens.weight": (VOCABULARY, d), "model.norm.weight": (d,)}
    if not c.get("tie_word_embeddings", kind == "gemma2"):
        out["lm_head.weight"] = (VOCABULARY, d)
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        for n in ["input", "post_attention"] + (["pre_feedforward", "post_feedforward"] if kind == "gemma2" else []):
            out[p + n + "_layernorm.weight"] = (d,)
        for n, to, of in (("q", h * hd, d), ("k", kv * hd, d), ("v", kv * hd, d), ("o", d, h * hd)):
            out[p + f"self_attn.{n}_proj.weight"] = (to, of)
            if c.get("attention_bias") or (kind == "qwen2" and n != "o"):
                out[p + f"self_attn.{n}_proj.bias"] = (to,)
        if kind == "qwen3":
            out[p + "self_attn.q_norm.weight"] = out[p + "self_attn.k_norm.weight"] = (hd,)
        for n, to, of in (("gate", m, d), ("up", m, d), ("down", d, m)):
            out[p + f"mlp.{n}_proj.weight"] = (to, of)
            if c.get("mlp_bias"):
                out[p + f"mlp.{n}_proj.bias"] = (to,)
    return out


def frequencies(c, d, tokens):
    """Angle per position of each pair, and the factor of cosines and sines."""
    rope = c.get("rope_scaling") or c.get("rope_parameters") or {}
    theta = rope.get("rope_theta", c.get("rope_theta"))
    kind, f = rope.get("rope_type", rope.get("type", "default")), rope.get("factor", 1.0)
    length = rope.get("original_max_position_embeddings", c["max_position_embeddings"])
    plain = [theta ** (-2 * i / d) for i in range(d // 2)]
    if kind == "default":
        return plain, 1.0
    if kind == "linear":
        return [w / f for w in plain], 1.0
    if kind == "dynamic":
        n = max(tokens, c["max_position_embeddings"])
        base = theta * (f * n / c["max_position_embeddings"] - (f - 1)) ** (d / (d - 2))
        return [base ** (-2 * i / d) for i in range(d // 2)], 1.0
    if kind == "llama3":
        out, long, short = [], length / rope["low_freq_factor"], length / rope["high_freq_factor"]
        for w in plain:
            wave = 2 * math.pi / w
            if wave < short:
                out.append(w)
            elif wave > long:
                out.append(w / f)
            else:
                s = (length / wave - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
                out.append((1 - s) * w / f + s * w)
        return out, 1.0
    assert kind == "yarn"
    dim = lambda turns: d * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(theta))
    low, high = dim(rope.get("beta_fast", 32)), dim(rope.get("beta_slow", 1))
    if rope.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, d - 1)
    high = high + 0.001 if low == high else high
    ramp = [min(max((i - low) / (high - low), 0), 1) for i in range(d // 2)]
    grown = lambda m: 0.1 * m * math.log(f) + 1 if f > 1 else 1.0
    factor = rope.get("attention_factor")
    if factor is None:
        factor = grown(rope["mscale"]) / grown(rope["mscale_all_dim"]) if rope.get("mscale") and rope.get("mscale_all_dim") else grown(1)
    return [w / f * r + w * (1 - r) for w, r in zip(plain, ramp)], factor


def turn(x, angles, factor):
    """[batch, tokens, heads, width]: pair by pair, halves apart."""
    half = x.shape[3] // 2
    out = torch.empty_like(x)
    for p in range(x.shape[1]):
        for i, w in enumerate(angles):
            cos, sin = math.cos(p * w) * factor, math.sin(p * w) * factor
            out[:, p, :, i] = x[:, p, :, i] * cos - x[:, p, :, i + half] * sin
            out[:, p, :, i + half] = x[:, p, :, i + half] * cos + x[:, p, :, i] * sin
    return out


def window(c, layer):
    kind = c["model_type"]
    if kind == "mistral" or (kind == "gemma2" and layer % 2 == 0) or (kind.startswith("qwen") and c.get("use_sliding_window") and layer >= c["max_window_layers"]):
        return c["sliding_window"]
    return None


def decoder(c):
    s = shapes(c)
    gemma = c["model_type"] == "gemma2"
    # Norms of Gemma multiply by 1 + weight, so their weights lie around zero.
    w = {n: weight(t, s[n], n.endswith(".weight") and "norm" in n and not gemma, torch.float32) for t, n in enumerate(sorted(s))}
    d, h, kv, eps = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"], c["rms_norm_eps"]
    hd, tokens = c.get("head_dim", d // h), IDS.shape[1]
    angles, factor = frequencies(c, hd, tokens)

    def norm(x, n):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * (1 + w[n] if gemma else w[n])

    def dense(x, n):
        y = x @ w[n + ".weight"].T
        return y + w[n + ".bias"] if n + ".bias" in w else y

    def attention(x, p, seen):
        q, k, v = (dense(x, p + f"{n}_proj").reshape(x.shape[0], tokens, -1, hd) for n in "qkv")
        if p + "q_norm.weight" in w:
            q, k = norm(q, p + "q_norm.weight"), norm(k, p + "k_norm.weight")
        q, k = turn(q, angles, factor), turn(k, angles, factor)
        out = torch.zeros_like(q)
        for head in range(h):
            other = head // (h // kv)
            for i in range(tokens):
                first = 0 if seen is None else max(0, i - seen + 1)
                scores = (k[:, first: i + 1, other] * q[:, i: i + 1, head]).sum(-1) / math.sqrt(c.get("query_pre_attn_scalar", hd))
                if c.get("attn_logit_softcapping"):
                    scores = torch.tanh(scores / c["attn_logit_softcapping"]) * c["attn_logit_softcapping"]
                out[:, i, head] = (torch.softmax(scores, -1)[:, :, None] * v[:, first: i + 1, other]).sum(1)
        return dense(out.reshape(x.shape[0], tokens, h * hd), p + "o_proj")

    def mlp(x, p):
        g = dense(x, p + "gate_proj")
        g = 0.5 * g * (1 + torch.tanh(math.sqrt(2 / math.pi) * (g + 0.044715 * g**3))) if gemma else g * torch.sigmoid(g)
        return dense(g * dense(x, p + "up_proj"), p + "down_proj")

    x = w["model.embed_tokens.weight"][IDS] * (math.sqrt(d) if gemma else 1)
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        a = attention(norm(x, p + "input_layernorm.weight"), p + "self_attn.", window(c, l))
        if gemma:
            x = x + norm(a, p + "post_attention_layernorm.weight")
            x = x + norm(mlp(norm(x, p + "pre_feedforward_layernorm.weight"), p + "mlp."), p + "post_feedforward_layernorm.weight")
        else:
            x = x + a
            x = x + mlp(norm(x, p + "post_attention_layernorm.weight"), p + "mlp.")
    y = norm(x, "model.norm.weight") @ w.get("lm_head.weight", w["model.embed_tokens.weight"]).T
    return torch.tanh(y / c["final_logit_softcapping"]) * c["final_logit_softcapping"] if c.get("final_logit_softcapping") else y


if __name__ == "__main__":
    print(f"""namespace Sparseland.Tests.Models.Language;

/// <summary>A decoder's config.json, its tensors as "name:rowsxcolumns", and logits [0, 7, :] and [1, 4, :].</summary>
internal sealed record ReferenceDecoder(string Config, string Tensors, double[] Logits);

/// <summary>Printed by reference_decoders.py with PyTorch {torch.__version__}.</summary>
internal static class ReferenceDecoders
{{
    public static readonly Dictionary<string, ReferenceDecoder> All = new()
    {{""")
    for name, c in CASES.items():
        s = shapes(c)
        print(f'        ["{name}"] = new(\n            """\n            {json.dumps(c)}\n            """,')
        print('            "' + " ".join(f"{n}:{'x'.join(map(str, s[n]))}" for n in sorted(s)) + '",\n            [')
        logits = decoder(c)
        for row in (logits[0, 7], logits[1, 4]):
            for i in range(0, VOCABULARY, 8):
                print("                " + " ".join(f"{v:.9f}," for v in row[i: i + 8].tolist()))
        print("            ]),")
    print("    };\n}")
