using System.Diagnostics;
using System.Globalization;
using Sparseland.Models.Language;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Training;

/// <summary>
/// Training of the shipped TinyLM, whole steps with clipping and AdamW, against the same model written plainly in PyTorch with as many
/// threads; both start from the same weights, take the same tokens and must have the same losses. Tokens per second and the share of the
/// machine's matrix-product rate are printed.
/// </summary>
public class LanguageTrainingBenchmark : IQuickBenchmark
{
    private const int Steps = 2;

    private const string Plain = """
        def turn(x, cos, sin):
            half = x.shape[-1] // 2
            return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin

        class Norm(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.ones(width))
            def forward(self, x):
                return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * self.weight

        class Attention(nn.Module):
            def __init__(self):
                super().__init__()
                self.q_proj, self.o_proj = nn.Linear(width, h * hd, bias=False), nn.Linear(h * hd, width, bias=False)
                self.k_proj, self.v_proj = nn.Linear(width, kv * hd, bias=False), nn.Linear(width, kv * hd, bias=False)
            def forward(self, x):
                b, t, _ = x.shape
                q = turn(self.q_proj(x).view(b, t, h, hd).transpose(1, 2), cos, sin)
                k = turn(self.k_proj(x).view(b, t, kv, hd).transpose(1, 2), cos, sin).repeat_interleave(h // kv, 1)
                v = self.v_proj(x).view(b, t, kv, hd).transpose(1, 2).repeat_interleave(h // kv, 1)
                scores = (q @ k.transpose(2, 3) / hd ** 0.5).masked_fill(future, float("-inf"))
                return self.o_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, h * hd))

        class Mlp(nn.Module):
            def __init__(self):
                super().__init__()
                self.gate_proj, self.up_proj = nn.Linear(width, mlp, bias=False), nn.Linear(width, mlp, bias=False)
                self.down_proj = nn.Linear(mlp, width, bias=False)
            def forward(self, x):
                return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))

        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.input_layernorm, self.self_attn, self.post_attention_layernorm, self.mlp = Norm(), Attention(), Norm(), Mlp()
            def forward(self, x):
                x = x + self.self_attn(self.input_layernorm(x))
                return x + self.mlp(self.post_attention_layernorm(x))

        class Body(nn.Module):
            def __init__(self):
                super().__init__()
                self.embed_tokens = nn.Embedding(vocabulary, width)
                self.layers = nn.ModuleList([Block() for _ in range(layers)])
                self.norm = Norm()

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.model = Body()
            def forward(self, ids):
                x = self.model.embed_tokens(ids)
                for block in self.model.layers:
                    x = block(x)
                return F.linear(self.model.norm(x), self.model.embed_tokens.weight)

        def train(steps):
            losses = []
            for _ in range(steps):
                optimizer.zero_grad(set_to_none=True)
                loss = F.cross_entropy(model(ids).view(-1, vocabulary), after.view(-1))
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                losses.append(loss.item())
            return losses
        """;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        TinyLMRecipeOptions recipe = new();
        LlamaConfig config = recipe.Config;
        using var model = new TinyLM(config);
        using var half = new TinyLM(config);
        using PythonPeer? python = PythonPeer.Start("import numpy as np, torch; import torch.nn.functional as F; from torch import nn");
        var random = new Random(1);
        var batches = new OneBatch(new TextBatches(new TokenText([.. Enumerable.Range(0, 10_000).Select(_ => random.Next(config.Vocabulary))]), recipe.Batch, config.Context));
        if (python is not null) Prepare(python, model, config, batches.At(0));
        using var copy = new Bfloat16Copy<TinyLM>(half, () => new TinyLM(config));
        TrainingOptions options = new() { Steps = long.MaxValue, LearningRate = 1e-4, WeightDecay = 0, Beta2 = 0.95 };
        using var loop = new TrainingLoop(model, batches, Losses.CrossEntropy(model), options);
        using var low = new TrainingLoop(half, batches, copy.CrossEntropy, options, new() { OnGradients = _ => copy.HandOver() });
        int tokens = recipe.Batch * config.Context * Steps;
        double rate = ProductRate();
        double work = 6.0 * model.parameters().Sum(p => p.numel()) + (6.0 * config.Layers * config.Width * config.Context);
        foreach ((TrainingLoop mine, string name, double target) in new[] { (loop, "float32", 0.95), (low, "bfloat16 copy", 0) })
        {
            double seconds = double.PositiveInfinity;
            yield return new(
                $"training, {tokens:N0} tokens, {model.parameters().Sum(p => p.numel()) / 1e6:F1} M parameters, {name}",
                () =>
                {
                    long start = Stopwatch.GetTimestamp();
                    for (int i = 0; i < Steps; i++) mine.Step();
                    seconds = Math.Min(seconds, Stopwatch.GetElapsedTime(start).TotalSeconds);
                },
                "plain PyTorch, float32", python is null ? null : () => python.Run($"losses += train({Steps})"), target,
                () => Note(mine, python, tokens / seconds, tokens / seconds * work / rate));
        }
    }

    private static string Note(TrainingLoop loop, PythonPeer? python, double tokensPerSecond, double share)
    {
        string mine = string.Create(CultureInfo.InvariantCulture, $"best {tokensPerSecond:F0} tokens per second, {share:P0} of the float32 matrix-product rate");
        if (python is null) return mine;
        double[] theirs = python.Get("losses");
        int same = Math.Min(theirs.Length, loop.History.Count);
        double apart = Enumerable.Range(0, same).Max(i => Math.Abs(theirs[i] - loop.History[i].Loss));
        return string.Create(CultureInfo.InvariantCulture, $"{mine}; losses of {same} steps from {theirs[0]:F3} to {theirs[same - 1]:F3} are apart by at most {apart:G2}");
    }

    /// <summary>Operations per second of a large product, best of five.</summary>
    private static double ProductRate()
    {
        using var scope = NewDisposeScope();
        Tensor a = randn(2048, 1024), b = randn(1024, 2048);
        double best = double.PositiveInfinity;
        for (int i = 0; i < 6; i++)
        {
            long start = Stopwatch.GetTimestamp();
            a.mm(b).Dispose();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return 2.0 * 2048 * 1024 * 2048 / best;
    }

    private static void Prepare(PythonPeer python, TinyLM model, LlamaConfig config, Batch batch)
    {
        python.Run(string.Create(CultureInfo.InvariantCulture, $"""
            torch.set_num_threads({get_num_threads()})
            layers, width, mlp, h, kv, hd, eps, vocabulary = {config.Layers}, {config.Width}, {config.MlpWidth}, {config.Heads}, {config.KeyValueHeads}, {config.HeadDim}, {config.NormEpsilon}, {config.Vocabulary}
            angles = torch.outer(torch.arange({config.Context}, dtype=torch.float64), {config.RopeTheta} ** (-torch.arange(0, hd, 2, dtype=torch.float64) / hd))
            angles = torch.cat([angles, angles], 1)
            cos, sin, future = angles.cos().float(), angles.sin().float(), torch.ones({config.Context}, {config.Context}, dtype=torch.bool).triu(1)
            losses = []
            """));
        python.Run(Plain);
        python.Run("model = Model(); state = {}");
        foreach ((string name, var parameter) in model.named_parameters())
        {
            python.Put("handed", parameter);
            python.Run($"state['{name}'] = torch.tensor(handed, dtype=torch.float32)");
        }

        python.Put("ids", batch.Input);
        python.Put("after", batch.Target);
        python.Run("model.load_state_dict(state); ids, after = torch.tensor(ids).long(), torch.tensor(after).long(); optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0)");
    }

    /// <summary>The first batch of a source, always: what is measured is the training, not the data.</summary>
    private sealed class OneBatch(IBatchSource source) : IBatchSource
    {
        public string Description => source.Description;

        public Batch At(long index) => source.At(0);
    }
}
