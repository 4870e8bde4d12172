namespace Sparseland.Solvers;

/// <summary>How a least-squares data fit is scaled. A factor n in the objective is the field's most common silent error.</summary>
public enum LassoScaling
{
    /// <summary>1/2 ||x - D a||^2 + lambda ||a||_1: sparse_encode of scikit-learn, SPAMS mode 2.</summary>
    SumOfSquares,

    /// <summary>1/(2m) ||y - X w||^2 + alpha ||w||_1 with m the length of y: Lasso of scikit-learn. lambda = m alpha.</summary>
    MeanSquares,
}
