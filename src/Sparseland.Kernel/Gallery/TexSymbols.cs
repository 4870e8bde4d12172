namespace Sparseland.Kernel.Gallery;

/// <summary>The TeX commands that stand for one character or one word.</summary>
internal static class TexSymbols
{
    /// <summary>Letters: Greek and letter-like.</summary>
    public static readonly IReadOnlyDictionary<string, string> Letters = Table("""
        alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda λ mu μ
        nu ν xi ξ pi π rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω
        Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω
        ell ℓ Re ℜ Im ℑ aleph ℵ hbar ℏ partial ∂ nabla ∇ infty ∞ emptyset ∅ varnothing ∅ top ⊤ bot ⊥ dots … ldots … cdots ⋯ vdots ⋮ ddots ⋱ dotsc … prime ′ imath ı jmath ȷ
        """);

    /// <summary>Operators, relations, arrows and delimiters.</summary>
    public static readonly IReadOnlyDictionary<string, string> Operators = Table("""
        cdot · times × div ÷ pm ± mp ∓ ast ∗ star ⋆ circ ∘ bullet ∙ odot ⊙ otimes ⊗ oplus ⊕ setminus ∖ cap ∩ cup ∪ wedge ∧ vee ∨ land ∧ lor ∨ neg ¬ lnot ¬
        le ≤ leq ≤ ge ≥ geq ≥ ne ≠ neq ≠ ll ≪ gg ≫ equiv ≡ approx ≈ sim ∼ simeq ≃ cong ≅ propto ∝ prec ≺ succ ≻ preceq ⪯ succeq ⪰ leqslant ⩽ geqslant ⩾ triangleq ≜ coloneqq ≔ asymp ≍ perp ⊥ parallel ∥ mid ∣ nmid ∤
        in ∈ notin ∉ ni ∋ subset ⊂ subseteq ⊆ supset ⊃ supseteq ⊇ forall ∀ exists ∃
        to → rightarrow → leftarrow ← gets ← Rightarrow ⇒ Leftarrow ⇐ leftrightarrow ↔ Leftrightarrow ⇔ iff ⟺ implies ⟹ mapsto ↦ longrightarrow ⟶ uparrow ↑ downarrow ↓ colon :
        langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ lVert ‖ rVert ‖ Vert ‖ lvert | rvert | vert | lbrace { rbrace } lbrack [ rbrack ] backslash ∖
        """);

    /// <summary>Operators that take their limits above and below.</summary>
    public static readonly IReadOnlyDictionary<string, string> Large = Table("""
        sum ∑ prod ∏ int ∫ oint ∮ bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ bigvee ⋁ bigwedge ⋀
        max max min min sup sup inf inf lim lim argmax arg&#x2009;max argmin arg&#x2009;min det det Pr Pr limsup lim&#x2009;sup liminf lim&#x2009;inf
        """);

    /// <summary>Function names, set upright.</summary>
    public static readonly IReadOnlySet<string> Functions = new HashSet<string>(
        "log ln exp sin cos tan cot sec sinh cosh tanh coth arcsin arccos arctan dim ker rank sign sgn prox diag tr arg deg gcd hom mod lg supp".Split(' '), StringComparer.Ordinal);

    /// <summary>Accents above their argument.</summary>
    public static readonly IReadOnlyDictionary<string, string> Accents = Table(
        "hat ^ widehat ^ tilde ~ widetilde ~ bar ¯ overline ¯ vec → dot ˙ ddot ¨ check ˇ breve ˘ overbrace ⏞");

    /// <summary>Spaces and their widths in em.</summary>
    public static readonly IReadOnlyDictionary<string, string> Spaces = Table("""
        , 0.17 : 0.22 > 0.22 ; 0.28 ! -0.17 quad 1 qquad 2 enspace 0.5 thinspace 0.17 space 0.25 medspace 0.22
        """);

    private static Dictionary<string, string> Table(string text)
    {
        var words = text.Split([' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries);
        var table = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i + 1 < words.Length; i += 2)
            table[words[i]] = words[i + 1];
        return table;
    }
}
