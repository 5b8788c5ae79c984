"""Languages as OpenAI's verbose answers name them: English words, in Whisper's own list."""

_LISTED = (
    "en=english zh=chinese de=german es=spanish ru=russian ko=korean fr=french ja=japanese "
    "pt=portuguese tr=turkish pl=polish ca=catalan nl=dutch ar=arabic sv=swedish it=italian "
    "id=indonesian hi=hindi fi=finnish vi=vietnamese he=hebrew uk=ukrainian el=greek ms=malay "
    "cs=czech ro=romanian da=danish hu=hungarian ta=tamil no=norwegian th=thai ur=urdu "
    "hr=croatian bg=bulgarian lt=lithuanian la=latin mi=maori ml=malayalam cy=welsh sk=slovak "
    "te=telugu fa=persian lv=latvian bn=bengali sr=serbian az=azerbaijani sl=slovenian "
    "kn=kannada et=estonian mk=macedonian br=breton eu=basque is=icelandic hy=armenian "
    "ne=nepali mn=mongolian bs=bosnian kk=kazakh sq=albanian sw=swahili gl=galician "
    "mr=marathi pa=punjabi si=sinhala km=khmer sn=shona yo=yoruba so=somali af=afrikaans "
    "oc=occitan ka=georgian be=belarusian tg=tajik sd=sindhi gu=gujarati am=amharic yi=yiddish "
    "lo=lao uz=uzbek fo=faroese ps=pashto tk=turkmen nn=nynorsk mt=maltese sa=sanskrit "
    "lb=luxembourgish my=myanmar bo=tibetan tl=tagalog mg=malagasy as=assamese tt=tatar "
    "haw=hawaiian ln=lingala ha=hausa ba=bashkir jw=javanese su=sundanese yue=cantonese"
)
WORDS: dict[str, str] = {
    **{code: word for code, _, word in (entry.partition("=") for entry in _LISTED.split())},
    "ht": "haitian creole",
}
OTHER_CODES = {"iw": "he", "jv": "jw", "fil": "tl", "nb": "no"}
CODES = {word: code for code, word in WORDS.items()}


def word_of(code: str) -> str:
    """Return the code itself where there is no word."""
    return WORDS.get(code, code)


def code_of(language: str) -> str:
    """Return the code of a language given as word or code, in any case; others as they are."""
    plain = language.strip().lower()
    return CODES.get(plain) or OTHER_CODES.get(plain, plain)
