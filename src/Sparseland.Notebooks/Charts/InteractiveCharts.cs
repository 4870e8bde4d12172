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
            var still=f.querySelector('img'),box=document.createElement('div'),added=[box];
            function words(text,style){
              if(!text)return;
              var line=document.createElement('div');
              line.className='sl-words';line.style.cssText="font-family:'Segoe UI',system-ui,-apple-system,Roboto,Arial,sans-serif;background:#fff;"+style;line.textContent=text;
              added.push(line);f.appendChild(line);
            }
            function undo(){added.forEach(function(e){e.remove();});f.style.maxWidth=narrow;f.style.border=f.style.padding='';}
            var narrow=f.style.maxWidth,slim=f.parentNode.clientWidth<500;
            try{
              var spec=JSON.parse(f.getAttribute('data-sl-plotly')),layout=spec.layout||{},own=layout.meta&&layout.meta.sparseland;
              if(own){
                words(own.title,'font-weight:600;font-size:15px;color:#1f2933;padding:14px 8px 0');
                f.appendChild(box);
                words(own.caption,'color:#52606d;font-size:12px;line-height:1.3;padding:0 8px 14px');
                delete layout.title;
                layout.annotations=(layout.annotations||[]).filter(function(a){return a.name!=='sl-caption';});
                layout.height=own.height;layout.margin.t=own.top;layout.margin.b=own.bottom;
                var y=layout.yaxis||{};
                if(slim){
                  layout.margin.l=40;layout.margin.r=10;
                  if(y.ticktext)y.ticktext=y.ticktext.map(function(t){return t.length>18?t.slice(0,17)+'…':t;});
                }
              }else f.appendChild(box);
              f.style.maxWidth='none';
              if(own)f.style.cssText+=';border:1px solid #d9dee4;border-radius:6px;background:#fff;overflow:hidden;padding:0 6px';
              window.Plotly.newPlot(box,spec.data,layout,{displaylogo:false,responsive:true,displayModeBar:slim?false:'hover',modeBarButtonsToRemove:['select2d','lasso2d','zoomIn2d','zoomOut2d']}).then(function(){if(still)still.style.display='none';},undo);
            }catch(e){undo();}
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
