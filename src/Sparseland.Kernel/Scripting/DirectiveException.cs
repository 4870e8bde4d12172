namespace Sparseland.Kernel.Scripting;

/// <summary>A directive that cannot be carried out; the message is meant for the notebook's user.</summary>
public sealed class DirectiveException : Exception
{
    /// <summary>Creates the exception.</summary>
    public DirectiveException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with its cause.</summary>
    public DirectiveException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Creates the exception without a message.</summary>
    public DirectiveException()
    {
    }
}
