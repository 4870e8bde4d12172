namespace Sparseland.Notebooks;

/// <summary>How much work a notebook does.</summary>
public enum LessonScale
{
    /// <summary>Seconds: every notebook in the tests.</summary>
    Quick,

    /// <summary>One to two minutes on two cores: what is stored with its outputs.</summary>
    Lesson,

    /// <summary>Hours, or a graphics processor.</summary>
    Full,
}
