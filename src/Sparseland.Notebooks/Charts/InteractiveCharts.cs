using System.IO.Compression;
using System.Reflection;

namespace Sparseland.Notebooks.Charts;

/// <summary>
/// Charts that can be zoomed and hovered in classic Notebook and JupyterLab pages. Off by default, because plotly.js takes
/// 1.5 MB even packed and a stored notebook should stay small; VS Code and hosts with their own Plotly need none of this.
/// </summary>
/// <remarks>
/// <see cref="Enable"/> puts plotly.js, as it lies inside Plotly.NET, into the page once, packed, and never fetches anything.
/// From then on a chart's figure element carries its Plotly figure as an attribute, and the script replaces the static
/// picture in place. Nothing depends on it: where scripts do not run, the static picture stays.
/// </remarks>
public static class InteractiveCharts
{
    /// <summary>MIME type of a Plotly figure in a notebook's output.</summary>
    public const string MimeType = "application/vnd.plotly.v1+json";

    /// <summary>Class of the HTML element around each chart's static picture.</summary>
    public const string FigureClass = "sl-chart";

    private const string FigureAttribute = "data-sl-plotly";

    private static readonly Lazy<string> Packed = new(Pack);

    // The loader unpacks once and hands the source to the page with `define`, `module` and `exports` hidden, since the
    // module systems of notebook pages would otherwise catch it and no global Plotly would appear.
    private const string Loader = """
        (function(){
        if(window.slCharts){window.slCharts.scan();return;}
        var api=window.slCharts={ready:false,scan:function(){
          if(!api.ready)return;
          document.querySelectorAll('figure.sl-chart[data-sl-plotly]:not([data-sl-done])').forEach(function(f){
            f.setAttribute('data-sl-done','1');
            var still=f.querySelector('img'),box=document.createElement('div');
            try{
              var spec=JSON.parse(f.getAttribute('data-sl-plotly'));
              f.appendChild(box);
              window.Plotly.newPlot(box,spec.data,spec.layout,{displaylogo:false,responsive:true}).then(function(){if(still)still.style.display='none';},function(){box.remove();});
            }catch(e){box.remove();}
          });
        }};
        function go(){api.ready=true;api.scan();new MutationObserver(function(){api.scan();}).observe(document.body,{childList:true,subtree:true});}
        if(window.Plotly){go();return;}
        var bytes=Uint8Array.from(atob(PACKED),function(c){return c.charCodeAt(0);});
        new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).text().then(function(source){
          var s=document.createElement('script');
          s.textContent='(function(define,module,exports){'+source+'\n}).call(window);';
          document.head.appendChild(s);
          if(window.Plotly)go();
        });
        })();
        """;

    /// <summary>Whether charts rendered now carry their Plotly figure in the HTML.</summary>
    public static bool Enabled { get; private set; }

    /// <summary>
    /// Switches interactive charts on. The value returned must be shown once in the notebook: make it the last line of its
    /// cell. Where Plotly.NET is not present it says so, and charts stay static.
    /// </summary>
    public static Markup Enable()
    {
        string script;
        try
        {
            script = PageScript();
        }
        catch (Exception e) when (e is IOException or BadImageFormatException or InvalidOperationException)
        {
            return Markup.Text($"Charts stay static: plotly.js could not be read from Plotly.NET ({e.Message}).");
        }
        Enabled = true;
        return Markup.Html($"<script>{script}</script><span>Charts below can be zoomed and hovered.</span>", "Charts below can be zoomed and hovered where the page runs scripts.");
    }

    /// <summary>Switches interactive charts off again.</summary>
    public static void Disable() => Enabled = false;

    /// <summary>
    /// JavaScript, without script tags, that brings plotly.js with it and makes every marked chart of a page interactive, also
    /// those added later. Once per page is enough and more do no harm.
    /// </summary>
    /// <exception cref="IOException">Plotly.NET is not present.</exception>
    /// <exception cref="InvalidOperationException">Plotly.NET carries no plotly.js.</exception>
    public static string PageScript() => Loader.Replace("PACKED", '"' + Packed.Value + '"', StringComparison.Ordinal);

    /// <summary>Marks the static chart in an output's HTML with its figure, for pages that carry <see cref="PageScript"/>.</summary>
    /// <param name="html">text/html of a chart.</param>
    /// <param name="figureJson">The output's <see cref="MimeType"/> entry as JSON text.</param>
    /// <returns>The marked HTML; unchanged where it is no chart or marked already.</returns>
    public static string Mark(string html, string figureJson)
    {
        ArgumentNullException.ThrowIfNull(html);
        ArgumentNullException.ThrowIfNull(figureJson);
        const string Start = "<figure class=\"" + FigureClass + "\"";
        int at = html.IndexOf(Start, StringComparison.Ordinal);
        return at < 0 || html.Contains(FigureAttribute, StringComparison.Ordinal) ? html : html.Insert(at + Start.Length, Attribute(figureJson));
    }

    internal static string Attribute(string json) => $" {FigureAttribute}=\"{Drawing.Canvas.Escape(json)}\"";

    private static string Pack()
    {
        // Only a resource is read: no code of Plotly.NET runs, so this works where its FSharp.Core does not load.
        Assembly plotly = Assembly.Load("Plotly.NET");
        string name = plotly.GetManifestResourceNames().FirstOrDefault(n => n.EndsWith(".min.js", StringComparison.Ordinal))
            ?? throw new InvalidOperationException("Plotly.NET carries no plotly.js");
        using Stream source = plotly.GetManifestResourceStream(name)!;
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.SmallestSize, leaveOpen: true))
            source.CopyTo(gzip);
        return Convert.ToBase64String(packed.ToArray());
    }
}
