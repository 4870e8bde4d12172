namespace Sparseland.Probabilistic;

/// <summary>
/// Which latent states a truncated posterior looks at: for each point the zero state, every state with one active component, and all
/// states with 2 to <paramref name="Active"/> active components among its <paramref name="Candidates"/> best ones (Expectation
/// Truncation, Lücke and Eggert 2010). With both equal to the number of components the posterior is exact.
/// </summary>
/// <param name="Candidates">H', preselected components of each point.</param>
/// <param name="Active">gamma, most active components of a state.</param>
public sealed record Truncation(int Candidates, int Active)
{
    /// <summary>States of several active components that a truncation may have at most.</summary>
    public const int MostStates = 200_000;

    /// <summary>No truncation: all states of so many components.</summary>
    /// <param name="components">H.</param>
    public static Truncation Exact(int components) => new(components, components);

    /// <summary>One candidate and one active component more, at most as many as there are.</summary>
    /// <param name="components">H.</param>
    public Truncation Wider(int components) => new(Math.Min(Candidates + 1, components), Math.Min(Active + 1, components));

    /// <summary>Throws when it does not fit a model.</summary>
    /// <param name="components">H of the model.</param>
    /// <param name="values">Values other than zero that a component can take. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">H' above H, gamma above H', a number below 1, or too many states.</exception>
    public void Validate(int components, int values = 1)
    {
        if (Candidates < 1 || Candidates > components)
            throw new ArgumentOutOfRangeException(nameof(Candidates), Candidates, $"H' (Candidates) must be from 1 to the {components} components of the model.");
        if (Active < 1 || Active > Candidates)
            throw new ArgumentOutOfRangeException(nameof(Active), Active, $"gamma (Active) must be from 1 to the {Candidates} candidates.");
        double states = StateSet.CountStates(Candidates, Active, values);
        if (states > MostStates)
        {
            throw new ArgumentOutOfRangeException(
                nameof(Active), Active,
                $"H' = {Candidates} and gamma = {Active} give {states:N0} states per point; at most {MostStates:N0} are allowed. Take a smaller gamma or H'.");
        }
    }
}
