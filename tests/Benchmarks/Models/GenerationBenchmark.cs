using System.Globalization;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Models;

/// <summary>
/// Generation of 200 tokens with a key-value cache by a model of TinyLM's size, against the same model written plainly in PyTorch, with
/// as many threads. Both take the most probable token, and both must make the same text.
/// </summary>
public class GenerationBenchmark : IQuickBenchmark
{
    private const int Tokens = 200;

    private const string Plain = """
        def turn(x, cos, sin):
            half = x.shape[-1] // 2
            return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin

        def norm(x, w):
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * w

        def step(ids, at, cache):
            x = w["model.embed_tokens.weight"][ids]
            t = ids.shape[1]
            for l in range(layers):
                p = f"model.layers.{l}."
                n = norm(x, w[p + "input_layernorm.weight"])
                q = F.linear(n, w[p + "self_attn.q_proj.weight"]).view(1, t, h, hd).transpose(1, 2)
                k = F.linear(n, w[p + "self_attn.k_proj.weight"]).view(1, t, kv, hd).transpose(1, 2)
                v = F.linear(n, w[p + "self_attn.v_proj.weight"]).view(1, t, kv, hd).transpose(1, 2)
                q, k = turn(q, cos[at:at + t], sin[at:at + t]), turn(k, cos[at:at + t], sin[at:at + t])
                if cache[l] is not None:
                    k, v = torch.cat([cache[l][0], k], 2), torch.cat([cache[l][1], v], 2)
                cache[l] = (k, v)
                k, v = k.repeat_interleave(h // kv, 1), v.repeat_interleave(h // kv, 1)
                scores = q @ k.transpose(2, 3) / hd ** 0.5
                if t > 1:
                    scores = scores.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
                x = x + F.linear((scores.softmax(-1) @ v).transpose(1, 2).reshape(1, t, h * hd), w[p + "self_attn.o_proj.weight"])
                n = norm(x, w[p + "post_attention_layernorm.weight"])
                x = x + F.linear(F.silu(F.linear(n, w[p + "mlp.gate_proj.weight"])) * F.linear(n, w[p + "mlp.up_proj.weight"]), w[p + "mlp.down_proj.weight"])
            return F.linear(norm(x[:, -1:], w["model.norm.weight"]), w["model.embed_tokens.weight"])

        @torch.no_grad()
        def generate(prompt, count):
            cache, made, ids, at = [None] * layers, [], torch.tensor([prompt]), 0
            for _ in range(count):
                token = int(step(ids, at, cache)[0, 0].argmax())
                made.append(token)
                at += ids.shape[1]
                ids = torch.tensor([[token]])
            return made
        """;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        var config = new LlamaConfig();
        using var model = new TinyLM(config);
        model.eval();
        using (no_grad())
        {
            // Weights of a fresh model make logits that hardly differ; the two sides must agree on the best token.
            foreach (var parameter in model.parameters().Where(p => p.dim() > 1)) parameter.mul_(5);
        }

        int[] prompt = [.. Enumerable.Range(0, 16).Select(i => i * 37 % config.Vocabulary)];
        IReadOnlyList<int> ours = [];
        double[] theirs = [];
        using PythonPeer? python = PythonPeer.Start("import numpy as np, torch; import torch.nn.functional as F");
        if (python is not null) Prepare(python, model, config, prompt);
        yield return new(
            $"generation, {Tokens} tokens, {model.parameters().Sum(p => p.numel()) / 1e6:F1} M parameters",
            () => ours = TextGenerator.Generate(model, prompt, new() { NewTokens = Tokens, Temperature = 0 }), "plain PyTorch",
            python is null ? null : () => python.Run($"made = generate(prompt, {Tokens})"), 1.5,
            () => python is null ? "" : Agreement(ours, theirs = python.Get("made")));
        yield return new(
            $"generation at temperature 0.8, top-k 50, top-p 0.95, {Tokens} tokens",
            () => ours = TextGenerator.Generate(model, prompt, new() { NewTokens = Tokens, TopK = 50, TopP = 0.95 }), "plain PyTorch, greedy",
            python is null ? null : () => python.Run($"made = generate(prompt, {Tokens})"));
    }

    private static void Prepare(PythonPeer python, TinyLM model, LlamaConfig config, int[] prompt)
    {
        python.Run($"torch.set_num_threads({get_num_threads()}); w = {{}}");
        foreach ((string name, var parameter) in model.named_parameters())
        {
            python.Put("handed", parameter);
            python.Run($"w['{name}'] = torch.tensor(handed, dtype=torch.float32)");
        }

        python.Run(string.Create(CultureInfo.InvariantCulture, $"""
            layers, h, kv, hd, eps, prompt = {config.Layers}, {config.Heads}, {config.KeyValueHeads}, {config.HeadDim}, {config.NormEpsilon}, [{string.Join(", ", prompt)}]
            angles = torch.outer(torch.arange({config.Context}, dtype=torch.float64), {config.RopeTheta} ** (-torch.arange(0, hd, 2, dtype=torch.float64) / hd))
            angles = torch.cat([angles, angles], 1)
            cos, sin = angles.cos().float(), angles.sin().float()
            """));
        python.Run(Plain);
    }

    private static string Agreement(IReadOnlyList<int> ours, double[] theirs)
    {
        int same = ours.Zip(theirs).TakeWhile(p => p.First == (int)p.Second).Count();
        return same == theirs.Length ? $"both made the same {same} tokens, {ours.Distinct().Count()} different ones" : $"THE TEXTS PART after {same} tokens";
    }
}
