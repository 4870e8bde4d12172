using System.Text.Json.Nodes;

namespace Sparseland.Notebooks.Hosting;

/// <summary>One displayed value in every form that a front end may choose from.</summary>
/// <param name="Data">
/// MIME type to content. Text types (text/*, image/svg+xml) hold a string node, image/png a base64 string,
/// JSON types (application/*+json) the JSON itself. text/plain is always present.
/// </param>
/// <param name="Metadata">MIME type to display metadata, or null.</param>
public sealed record MimeBundle(IReadOnlyDictionary<string, JsonNode> Data, IReadOnlyDictionary<string, JsonNode>? Metadata = null);
