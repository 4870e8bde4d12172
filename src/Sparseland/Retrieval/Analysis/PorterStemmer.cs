namespace Sparseland.Retrieval.Analysis;

/// <summary>
/// Porter's stemmer (M. F. Porter, An algorithm for suffix stripping, Program 14(3), 1980), with the two amendments of his own later code
/// ("bli" for "abli", and "logi"), as Lucene's PorterStemFilter has it. The word changes in place; letters beyond a to z are consonants.
/// </summary>
internal ref struct PorterStemmer
{
    private readonly Span<char> _word;
    private int _end, _stem;

    private PorterStemmer(Span<char> word)
    {
        _word = word;
        _end = word.Length;
    }

    /// <summary>Stems a word in lower case in place.</summary>
    /// <returns>Length of the stem, which is the start of <paramref name="word"/>.</returns>
    internal static int Stem(Span<char> word)
    {
        if (word.Length < 3) return word.Length;
        var stemmer = new PorterStemmer(word);
        stemmer.Plurals();
        stemmer.FinalY();
        stemmer.DoubleSuffixes();
        stemmer.Suffixes();
        stemmer.LastSuffix();
        stemmer.FinalE();
        return stemmer._end;
    }

    /// <summary>Step 1a and 1b: plurals, -ed and -ing.</summary>
    private void Plurals()
    {
        if (_word[_end - 1] == 's')
        {
            if (Ends("sses")) _end -= 2;
            else if (Ends("ies")) Put("i");
            else if (_word[_end - 2] != 's') _end--;
        }

        if (Ends("eed"))
        {
            if (Measure() > 0) _end--;
        }
        else if ((Ends("ed") || Ends("ing")) && HasVowel())
        {
            _end = _stem;
            if (Ends("at")) Put("ate");
            else if (Ends("bl")) Put("ble");
            else if (Ends("iz")) Put("ize");
            else if (IsDouble(_end - 1))
            {
                if (_word[_end - 1] is not ('l' or 's' or 'z')) _end--;
            }
            else if (Measure() == 1 && IsShort(_end - 1)) Put("e");
        }
    }

    /// <summary>Step 1c.</summary>
    private void FinalY()
    {
        if (Ends("y") && HasVowel()) _word[_end - 1] = 'i';
    }

    /// <summary>Step 2: double suffixes become single ones.</summary>
    private void DoubleSuffixes()
    {
        if (_end < 2) return;
        switch (_word[_end - 2])
        {
            case 'a': _ = Replace("ational", "ate") || Replace("tional", "tion"); break;
            case 'c': _ = Replace("enci", "ence") || Replace("anci", "ance"); break;
            case 'e': _ = Replace("izer", "ize"); break;
            case 'l': _ = Replace("bli", "ble") || Replace("alli", "al") || Replace("entli", "ent") || Replace("eli", "e") || Replace("ousli", "ous"); break;
            case 'o': _ = Replace("ization", "ize") || Replace("ation", "ate") || Replace("ator", "ate"); break;
            case 's': _ = Replace("alism", "al") || Replace("iveness", "ive") || Replace("fulness", "ful") || Replace("ousness", "ous"); break;
            case 't': _ = Replace("aliti", "al") || Replace("iviti", "ive") || Replace("biliti", "ble"); break;
            case 'g': _ = Replace("logi", "log"); break;
        }
    }

    /// <summary>Step 3: -ic-, -full, -ness and the like.</summary>
    private void Suffixes()
    {
        switch (_word[_end - 1])
        {
            case 'e': _ = Replace("icate", "ic") || Replace("ative", "") || Replace("alize", "al"); break;
            case 'i': _ = Replace("iciti", "ic"); break;
            case 'l': _ = Replace("ical", "ic") || Replace("ful", ""); break;
            case 's': _ = Replace("ness", ""); break;
        }
    }

    /// <summary>Step 4: -ant, -ence and the like, behind two measures.</summary>
    private void LastSuffix()
    {
        if (_end < 2) return;
        bool found = _word[_end - 2] switch
        {
            'a' => Ends("al"),
            'c' => Ends("ance") || Ends("ence"),
            'e' => Ends("er"),
            'i' => Ends("ic"),
            'l' => Ends("able") || Ends("ible"),
            'n' => Ends("ant") || Ends("ement") || Ends("ment") || Ends("ent"),
            'o' => (Ends("ion") && _stem > 0 && _word[_stem - 1] is 's' or 't') || Ends("ou"),
            's' => Ends("ism"),
            't' => Ends("ate") || Ends("iti"),
            'u' => Ends("ous"),
            'v' => Ends("ive"),
            'z' => Ends("ize"),
            _ => false,
        };
        if (found && Measure() > 1) _end = _stem;
    }

    /// <summary>Step 5: a final e, and double l.</summary>
    private void FinalE()
    {
        _stem = _end;
        if (_word[_end - 1] == 'e' && Measure() is int measure && (measure > 1 || (measure == 1 && !IsShort(_end - 2)))) _end--;
        if (_word[_end - 1] == 'l' && IsDouble(_end - 1) && Measure() > 1) _end--;
    }

    private bool Ends(string suffix)
    {
        if (!_word[.._end].EndsWith(suffix)) return false;
        _stem = _end - suffix.Length;
        return true;
    }

    private void Put(string suffix)
    {
        suffix.CopyTo(_word[_stem..]);
        _end = _stem + suffix.Length;
    }

    /// <summary>Whether the suffix is there; it is replaced if something measurable stands before it.</summary>
    private bool Replace(string suffix, string by)
    {
        if (!Ends(suffix)) return false;
        if (Measure() > 0) Put(by);
        return true;
    }

    private readonly bool IsConsonant(int at) => _word[at] switch
    {
        'a' or 'e' or 'i' or 'o' or 'u' => false,
        'y' => at == 0 || !IsConsonant(at - 1),
        _ => true,
    };

    /// <summary>Number of vowel-consonant sequences before the suffix.</summary>
    private readonly int Measure()
    {
        int count = 0, at = 0;
        while (at < _stem && IsConsonant(at)) at++;
        while (true)
        {
            while (at < _stem && !IsConsonant(at)) at++;
            if (at >= _stem) return count;
            count++;
            while (at < _stem && IsConsonant(at)) at++;
        }
    }

    private readonly bool HasVowel()
    {
        for (int at = 0; at < _stem; at++)
        {
            if (!IsConsonant(at)) return true;
        }

        return false;
    }

    private readonly bool IsDouble(int at) => at >= 1 && _word[at] == _word[at - 1] && IsConsonant(at);

    /// <summary>Consonant, vowel, consonant other than w, x, y: what asks for an e (hop, hope).</summary>
    private readonly bool IsShort(int at) =>
        at >= 2 && IsConsonant(at) && !IsConsonant(at - 1) && IsConsonant(at - 2) && _word[at] is not ('w' or 'x' or 'y');
}
