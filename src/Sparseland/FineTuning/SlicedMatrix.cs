using Sparseland.Models.Language;

namespace Sparseland.FineTuning;

/// <summary>Which matrix of each block of a decoder is trained in part.</summary>
public enum SlicedMatrix
{
    /// <summary>The MLP's last matrix: columns, one per channel. The cheap side, and the usual place.</summary>
    Down,

    /// <summary>The matrix that mixes the heads: columns, headDim per query head.</summary>
    Output,

    /// <summary>The MLP's factor: rows, one per channel.</summary>
    Up,

    /// <summary>The MLP's gate: rows, one per channel.</summary>
    Gate,

    /// <summary>The values: rows, headDim per key and value head.</summary>
    Value,

    /// <summary>The queries: rows, headDim per query head.</summary>
    Query,

    /// <summary>The keys: rows, headDim per key and value head.</summary>
    Key,
}

/// <summary>Which side of a matrix [out, in] its slice is cut from.</summary>
public enum SliceSide
{
    /// <summary>Columns: weights of some inputs. Only those inputs are kept for the backward pass.</summary>
    Input,

    /// <summary>Rows: weights of some outputs. The whole input is kept for the backward pass.</summary>
    Output,
}

/// <summary>Sizes and names of the matrices.</summary>
internal static class SlicedMatrices
{
    public static SliceSide SideOf(this SlicedMatrix matrix) => matrix is SlicedMatrix.Down or SlicedMatrix.Output ? SliceSide.Input : SliceSide.Output;

    /// <summary>Channels, query heads, or key and value heads of a block.</summary>
    public static int Units(this SlicedMatrix matrix, LlamaConfig config) => matrix switch
    {
        SlicedMatrix.Down or SlicedMatrix.Up or SlicedMatrix.Gate => config.MlpWidth,
        SlicedMatrix.Output or SlicedMatrix.Query => config.Heads,
        _ => config.KeyValueHeads,
    };

    /// <summary>Rows or columns of one unit.</summary>
    public static int UnitWidth(this SlicedMatrix matrix, LlamaConfig config) => matrix is SlicedMatrix.Down or SlicedMatrix.Up or SlicedMatrix.Gate ? 1 : config.HeadDim;

    /// <summary>The other side's length: numbers per row or column.</summary>
    public static int UnitLength(this SlicedMatrix _, LlamaConfig config) => config.Width;

    /// <summary>End of the name of the layer in a decoder.</summary>
    public static string LayerName(this SlicedMatrix matrix) => matrix switch
    {
        SlicedMatrix.Down => "mlp.down_proj",
        SlicedMatrix.Output => "self_attn.o_proj",
        SlicedMatrix.Up => "mlp.up_proj",
        SlicedMatrix.Gate => "mlp.gate_proj",
        SlicedMatrix.Value => "self_attn.v_proj",
        SlicedMatrix.Query => "self_attn.q_proj",
        _ => "self_attn.k_proj",
    };

    public static void Check(this SlicedMatrix matrix, string argument)
    {
        if (!Enum.IsDefined(matrix)) throw new ArgumentOutOfRangeException(argument, matrix, $"{argument} is no matrix of a block.");
    }
}
