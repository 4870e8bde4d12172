namespace Sparseland.Training;

/// <summary>Scores that are made anew for each update, so that a selection may work in their memory.</summary>
internal interface IOwnScores;
